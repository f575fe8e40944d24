/*
 * A guest that means ill: does to its virtual device (8086:1889) all that a guest can do, with random values.
 * Registers and configuration space are written everywhere; the mailbox and queues are set up so far that
 * what they find in memory is looked at, and memory is full of descriptors and messages that are nearly right.
 *
 *     vdev_attack 0000:01:00.0 0x10000000 SECONDS SEED
 *
 * The second word is the physical address of 2 MiB that the kernel leaves alone. Boot with iomem=relaxed, for
 * the registers are a driver's. Prints how much it did.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { BAR_SIZE = 0x10000, MEMORY = 2 << 20, PAGE = 4096, HEADER = 64, QUEUES = 16 };
enum { QTX_TAIL = 0x0000, QRX_TAIL = 0x2000, DYN_CTLN = 0x3800, DYN_CTL01 = 0x5c00 };
enum { ARQBAH = 0x6000, ATQH = 0x6400, ATQLEN = 0x6800, ARQBAL = 0x6c00, ARQT = 0x7000, ARQH = 0x7400,
       ATQBAH = 0x7800, ATQBAL = 0x7c00, ARQLEN = 0x8000, ATQT = 0x8400 };
enum { VERSION = 1, RESET_VF = 2, GET_VF_RESOURCES = 3, CONFIG_VSI_QUEUES = 6, CONFIG_IRQ_MAP = 7,
       ENABLE_QUEUES = 8, OPS = 120, SEND_TO_PF = 0x0801, VSIS = 6 };

static volatile uint8_t *bar;
static uint8_t *memory;
static uint64_t physical, state;
static int config;
static unsigned long writes, messages, config_writes;

static void fail(const char *what)
{
	printf("failed %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t any(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state * 0x2545f4914f6cdd1d;
}

static uint64_t below(uint64_t n) { return any() % n; }

/* An address of ours that may be unaligned, or one where no memory is. */
static uint64_t address(void)
{
	switch (below(4)) {
	case 0: return any() | 1ull << 40;
	case 1: return physical + below(MEMORY);
	default: return physical + below(MEMORY / PAGE) * PAGE;
	}
}

static void write_any(unsigned at, uint64_t value)
{
	switch (below(8)) {
	case 0: *(volatile uint8_t *)(bar + at % BAR_SIZE) = value; break;
	case 1: *(volatile uint16_t *)(bar + at % (BAR_SIZE - 1)) = value; break;
	case 2: *(volatile uint64_t *)(bar + at % (BAR_SIZE - 7)) = value; break;
	default: *(volatile uint32_t *)(bar + at % (BAR_SIZE - 3)) = value;
	}
	writes++;
}

static void write32(unsigned at, uint32_t value)
{
	*(volatile uint32_t *)(bar + at) = value;
	writes++;
}

/* Words as they may stand in descriptors and messages. */
static void scribble(uint8_t *to, unsigned bytes)
{
	for (unsigned at = 0; at + 8 <= bytes; at += 8) {
		uint64_t word = any();
		switch (below(6)) {
		case 0: word = address(); break;
		case 1: word = below(VSIS) | below(5) << 16 | below(600) << 32; break;
		case 2: word &= 0x0000000f0000000f; break;
		case 3: word = (word & 0xffffffff0000ffff) | 0x30; break; /* EOP, RS */
		case 4: word = 0;
		}
		memcpy(to + at, &word, 8);
	}
}

static void send_message(uint32_t op, const void *data, unsigned length)
{
	uint64_t ring = physical, buffer = physical + PAGE;
	struct { uint16_t flags, opcode, datalen, retval; uint32_t high, low, p0, p1, hi, lo; } one = {
		.flags = 0x1400 | (length > 512 ? 0x200 : 0), .opcode = SEND_TO_PF, .datalen = length, .high = op,
		.hi = buffer >> 32, .lo = (uint32_t)buffer,
	};
	memcpy(memory, &one, sizeof one);
	memcpy(memory + PAGE, data, length);
	write32(ATQLEN, 0);
	write32(ATQBAL, (uint32_t)ring);
	write32(ATQBAH, ring >> 32);
	write32(ATQH, 0);
	write32(ATQT, 0);
	write32(ATQLEN, 0x80000000 | 32);
	write32(ATQT, 1);
	messages++;
	usleep(2000);
}

static void listen(void)
{
	uint64_t ring = physical + 2 * PAGE;
	for (int n = 0; n < 64; n++) {
		uint64_t buffer = address();
		uint32_t words[8] = { 0x10001200, PAGE, 0, 0, 0, 0, buffer >> 32, (uint32_t)buffer };
		memcpy(memory + 2 * PAGE + 32 * n, words, sizeof words);
	}
	write32(ARQBAL, (uint32_t)ring);
	write32(ARQBAH, ring >> 32);
	write32(ARQLEN, 0x80000000 | 64);
	write32(ARQH, 0);
	write32(ARQT, 63);
}

static void begin(void)
{
	uint32_t version[2] = { 1, 1 }, caps = below(2) ? 0xffffffff : any();
	listen();
	send_message(VERSION, version, sizeof version);
	send_message(GET_VF_RESOURCES, &caps, sizeof caps);
}

/* Queues with rings of nearly right descriptors, so that the engine fetches them. */
static void run_queues(void)
{
	uint16_t vsi = 1 + below(4), pairs = 1 + below(4);
	uint8_t message[8 + 64 * 5] = { 0 };
	uint32_t enable[3] = { vsi, (1 << pairs) - 1, (1 << pairs) - 1 };
	/* One vector; a message has room for one more element than it says. */
	uint16_t map[13] = { 1, vsi, 1, (1 << pairs) - 1, (1 << pairs) - 1, 0, 1 };
	memcpy(message, &vsi, 2);
	memcpy(message + 2, &pairs, 2);
	for (uint16_t n = 0; n < pairs; n++) {
		uint8_t *pair = message + 8 + 64 * n;
		uint16_t tx = 8u << below(10), room = 1024u << below(4);
		uint32_t rx = 32u << below(8), frame = 64 + below(9700), size = room;
		uint64_t rings[2] = { physical + (4 + n * 32ull) * PAGE, physical + (200 + n * 32ull) * PAGE };
		memcpy(pair, &vsi, 2);
		memcpy(pair + 2, &n, 2);
		memcpy(pair + 4, &tx, 2);
		memcpy(pair + 8, &rings[0], 8);
		memcpy(pair + 24, &vsi, 2);
		memcpy(pair + 26, &n, 2);
		memcpy(pair + 28, &rx, 4);
		memcpy(pair + 36, &size, 4);
		memcpy(pair + 40, &frame, 4);
		memcpy(pair + 48, &rings[1], 8);
	}
	scribble(memory + 4 * PAGE, MEMORY - 4 * PAGE);
	send_message(CONFIG_VSI_QUEUES, message, 8 + 64 * (pairs + 1));
	send_message(CONFIG_IRQ_MAP, map, sizeof map);
	send_message(ENABLE_QUEUES, enable, sizeof enable);
	for (int n = 0; n < 64; n++) {
		write32(QRX_TAIL + 4 * below(QUEUES), below(4) ? below(512) : any());
		write32(QTX_TAIL + 4 * below(QUEUES), below(4) ? below(512) : any());
	}
}

static void write_config(void)
{
	uint8_t header[HEADER];
	if (pread(config, header, HEADER, 0) != HEADER)
		fail("configuration space");
	for (int n = 0; n < 16; n++) {
		uint64_t value = any();
		unsigned size = 1u << below(3);
		off_t at = below(4) ? below(256) : below(PAGE);
		if (pwrite(config, &value, size, at & ~(off_t)(size - 1)) > 0)
			config_writes++;
	}
	/* The bars back to where we have them mapped, and memory space on. */
	for (int at = 0x10; at < 0x28; at += 4)
		pwrite(config, header + at, 4, at);
	header[4] |= 6;
	pwrite(config, header + 4, 2, 4);
}

int main(int argc, char **argv)
{
	char path[128];
	if (argc != 5)
		return 2;
	physical = strtoull(argv[2], NULL, 0);
	state = strtoull(argv[4], NULL, 0) | 1;
	snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/resource0", argv[1]);
	int fd = open(path, O_RDWR | O_SYNC), mem = open("/dev/mem", O_RDWR);
	snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/config", argv[1]);
	config = open(path, O_RDWR);
	bar = mmap(NULL, BAR_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, mem, physical);
	if (fd < 0 || config < 0 || bar == MAP_FAILED || memory == MAP_FAILED)
		fail("opening");
	uint16_t command = 6;
	pwrite(config, &command, 2, 4);
	scribble(memory, MEMORY);
	for (unsigned at = 0; at < BAR_SIZE; at += 4) /* every register at least once */
		write32(at, any());
	for (time_t end = time(NULL) + atol(argv[3]); time(NULL) < end;) {
		uint8_t data[PAGE];
		switch (below(8)) {
		case 0:
			for (int n = 0; n < 256; n++)
				write_any(below(BAR_SIZE), any());
			break;
		case 1: /* the mailbox's registers, with any contents */
			for (int n = 0; n < 32; n++)
				write32(ARQBAH + 0x400 * below(10), below(2) ? any() : (uint32_t)address());
			break;
		case 2:
			write_config();
			break;
		case 3:
			send_message(below(4) ? below(OPS) : any(), data, below(PAGE + 1));
			break;
		case 4:
			if (below(8) == 0)
				send_message(RESET_VF, data, 0);
			break;
		default:
			begin();
			run_queues();
			for (int n = 0; n < 4; n++) {
				scribble(data, sizeof data);
				send_message(below(OPS), data, below(257));
			}
		}
	}
	printf("writes %lu messages %lu config %lu\n", writes, messages, config_writes);
	return 0;
}
