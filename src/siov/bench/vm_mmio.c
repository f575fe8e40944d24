/*
 * Times accesses of a guest's user space to a register of a PCI device, through its mapped BAR 0.
 *
 *     vm_mmio RESOURCE0 r|w OFFSET COUNT TOGETHER [READ_OFFSET]
 *
 * Prints the nanoseconds of an access, one a line, COUNT of them, each the mean of so many TOGETHER: what takes
 * less time than to look at the clock can't be timed alone. A write stores 0. Between two the program waits for a
 * while, as a driver does other things; writes are let arrive by a read now and then at READ_OFFSET.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

enum { BAR = 0x10000, BURST = 16, PAUSE_NS = 20000, WARM = 64 };

static inline uint64_t tsc(void)
{
	uint32_t low, high;
	__asm__ volatile("lfence; rdtsc; lfence" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

static uint64_t nanoseconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	if (argc < 6)
		return 2;
	int writes = argv[2][0] == 'w', count = atoi(argv[4]), together = atoi(argv[5]);
	long at = strtol(argv[3], NULL, 0), read_at = argc > 6 ? strtol(argv[6], NULL, 0) : -1;
	int fd = open(argv[1], O_RDWR | O_SYNC);
	if (fd < 0) {
		perror(argv[1]);
		return 1;
	}
	volatile uint8_t *bar = mmap(NULL, BAR, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	double *took = malloc(sizeof *took * (count + WARM));
	if (bar == MAP_FAILED || !took) {
		perror("mmap");
		return 1;
	}

	/* How long a tick is, and how many pass between two looks at the counter. */
	uint64_t t0 = nanoseconds(), c0 = tsc();
	while (nanoseconds() - t0 < 100000000)
		;
	double ns = (double)(nanoseconds() - t0) / (tsc() - c0);
	for (int i = 0; i < count + WARM; i++) {
		uint64_t begun = tsc();
		took[i] = tsc() - begun;
	}
	qsort(took, count + WARM, sizeof *took, by_size);
	double empty = took[(count + WARM) / 2];

	volatile uint32_t *word = (volatile uint32_t *)(bar + at);
	for (int i = 0; i < count + WARM; i++) {
		uint64_t begun = tsc();
		for (int n = 0; n < together; n++) {
			if (writes)
				*word = 0;
			else
				(void)*word;
		}
		uint64_t ended = tsc();
		took[i] = (ended - begun - empty) * ns / together;
		if (writes && read_at >= 0 && i % BURST == BURST - 1)
			(void)*(volatile uint32_t *)(bar + read_at);
		uint64_t pause = ended + PAUSE_NS / ns;
		while (tsc() < pause)
			;
	}
	for (int i = WARM; i < count + WARM; i++)
		printf("%.2f\n", took[i] > 0 ? took[i] : 0.0);
	return 0;
}
