/*
 * What a guest's own tools can't do: groups, raw frames, and answers with the time that they took.
 *
 *     net_probe join GROUP PORT COUNT SECONDS     receive datagrams to a group; prints how many came
 *     net_probe group GROUP PORT COUNT            send datagrams to a group
 *     net_probe frames IFACE                      receive frames until one of type 88b6; prints "ready", then
 *                                                 "destination source type length" of each, then "end"
 *     net_probe send IFACE HEX COUNT              send a frame as it is
 *     net_probe flows ADDRESS PORT FIRST COUNT    one datagram from each of COUNT source ports, FIRST and on
 *     net_probe echo PORT                         send each datagram back, for ever
 *     net_probe ask ADDRESS PORT COUNT GAP SEED   one datagram at a time, with pauses of up to GAP us;
 *                                                 prints "answers lost slowest_us", lost after 5 s each
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netpacket/packet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { LOST_SECONDS = 5, FRAME_MAX = 16384 };

static void fail(const char *what)
{
	printf("failed %s: %s\n", what, strerror(errno));
	exit(1);
}

static int64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static struct sockaddr_in address(const char *host, const char *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(atoi(port)) };

	if (host && inet_pton(AF_INET, host, &a.sin_addr) != 1)
		fail(host);
	return a;
}

static int udp(void)
{
	int s = socket(AF_INET, SOCK_DGRAM, 0);

	if (s < 0)
		fail("socket");
	return s;
}

static void patience(int s, int64_t us)
{
	struct timeval t = { us / 1000000, us % 1000000 };

	if (us <= 0)
		t.tv_usec = 1, t.tv_sec = 0; /* none would be for ever */
	if (setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)))
		fail("time-out");
}

static void bound(int s, const char *port)
{
	struct sockaddr_in a = address(NULL, port);

	if (bind(s, (struct sockaddr *)&a, sizeof(a)))
		fail("bind");
}

static int join(const char *group, const char *port, int count, int seconds)
{
	struct ip_mreqn m = { .imr_ifindex = (int)if_nametoindex("eth0") };
	int64_t until = now_us() + seconds * 1000000LL;
	char data[2048];
	int s = udp(), got = 0;

	m.imr_multiaddr = address(group, port).sin_addr;
	bound(s, port);
	if (setsockopt(s, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof(m)))
		fail("join");
	while (got < count && now_us() < until) {
		patience(s, until - now_us());
		got += recv(s, data, sizeof(data), 0) > 0;
	}
	printf("%d\n", got);
	return 0;
}

static int group(const char *group, const char *port, int count)
{
	struct sockaddr_in to = address(group, port);
	struct ip_mreqn m = { .imr_ifindex = (int)if_nametoindex("eth0") };
	int s = udp();

	if (setsockopt(s, IPPROTO_IP, IP_MULTICAST_IF, &m, sizeof(m)))
		fail("interface");
	while (count--)
		if (sendto(s, "to all", 6, 0, (struct sockaddr *)&to, sizeof(to)) != 6)
			fail("send");
	return 0;
}

static int packet(const char *name, int type)
{
	struct sockaddr_ll a = { .sll_family = AF_PACKET, .sll_protocol = htons(type) };
	int s = socket(AF_PACKET, SOCK_RAW, htons(type));

	a.sll_ifindex = (int)if_nametoindex(name);
	if (s < 0 || bind(s, (struct sockaddr *)&a, sizeof(a)))
		fail(name);
	return s;
}

static int frames(const char *name)
{
	int s = packet(name, ETH_P_ALL);
	uint8_t f[FRAME_MAX];

	printf("ready\n");
	fflush(stdout);
	do {
		struct sockaddr_ll from;
		socklen_t size = sizeof(from);
		ssize_t n;

		n = recvfrom(s, f, sizeof(f), 0, (struct sockaddr *)&from, &size);
		if (n < ETH_HLEN || from.sll_pkttype == PACKET_OUTGOING) {
			f[12] = 0;
			continue;
		}
		for (int i = 0; i < 12; i++)
			printf("%02x%s", f[i], i == 5 || i == 11 ? " " : ":");
		printf("%02x%02x %zd\n", f[12], f[13], n);
	} while (f[12] != 0x88 || f[13] != 0xb6);
	printf("end\n");
	return 0;
}

static int send_frame(const char *name, const char *hex, int count)
{
	int s = packet(name, 0);
	uint8_t f[FRAME_MAX];
	size_t n = 0;
	unsigned byte;

	while (n < sizeof(f) && sscanf(hex + 2 * n, "%2x", &byte) == 1)
		f[n++] = (uint8_t)byte;
	while (count--)
		if (send(s, f, n, 0) != (ssize_t)n)
			fail("send");
	return 0;
}

static int flows(const char *host, const char *port, int first, int count)
{
	struct sockaddr_in to = address(host, port);

	for (int n = first; n < first + count; n++) {
		struct sockaddr_in from = { .sin_family = AF_INET, .sin_port = htons(n) };
		int s = udp();

		if (bind(s, (struct sockaddr *)&from, sizeof(from)))
			fail("bind");
		if (sendto(s, "a flow", 6, 0, (struct sockaddr *)&to, sizeof(to)) != 6)
			fail("send");
		close(s);
	}
	return 0;
}

static _Noreturn void echo(const char *port)
{
	struct sockaddr_in from;
	char data[2048];
	int s = udp();

	bound(s, port);
	for (;;) {
		socklen_t size = sizeof(from);
		ssize_t n = recvfrom(s, data, sizeof(data), 0, (struct sockaddr *)&from, &size);

		if (n > 0)
			sendto(s, data, (size_t)n, 0, (struct sockaddr *)&from, size);
	}
}

static int ask(const char *host, const char *port, int count, int gap, unsigned seed)
{
	struct sockaddr_in to = address(host, port);
	int64_t slowest = 0;
	int s = udp(), answers = 0, lost = 0;

	if (connect(s, (struct sockaddr *)&to, sizeof(to)))
		fail("connect");
	srandom(seed);
	for (int i = 0; i < count; i++) {
		int64_t start = now_us(), took;
		int32_t got = -1;

		if (send(s, &i, sizeof(i), 0) != sizeof(i))
			fail("send");
		while (got != i && now_us() - start < LOST_SECONDS * 1000000LL) { /* older ones came late */
			patience(s, start + LOST_SECONDS * 1000000LL - now_us());
			if (recv(s, &got, sizeof(got), 0) != sizeof(got))
				got = -1;
		}
		took = now_us() - start;
		if (took > slowest)
			slowest = took;
		if (got == i)
			answers++;
		else
			lost++;
		if (gap)
			usleep((useconds_t)(random() % gap));
	}
	printf("%d %d %lld\n", answers, lost, (long long)slowest);
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (!strcmp(what, "join") && argc == 6)
		return join(argv[2], argv[3], atoi(argv[4]), atoi(argv[5]));
	if (!strcmp(what, "group") && argc == 5)
		return group(argv[2], argv[3], atoi(argv[4]));
	if (!strcmp(what, "frames") && argc == 3)
		return frames(argv[2]);
	if (!strcmp(what, "send") && argc == 5)
		return send_frame(argv[2], argv[3], atoi(argv[4]));
	if (!strcmp(what, "flows") && argc == 6)
		return flows(argv[2], argv[3], atoi(argv[4]), atoi(argv[5]));
	if (!strcmp(what, "echo") && argc == 3)
		echo(argv[2]);
	if (!strcmp(what, "ask") && argc == 7)
		return ask(argv[2], argv[3], atoi(argv[4]), atoi(argv[5]), (unsigned)atoi(argv[6]));
	printf("usage: see the source\n");
	return 2;
}
