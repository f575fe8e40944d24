/*
 * Drives the test function through vfio-pci, as a user-space driver would: MSI-X by eventfds, registers by
 * a mapping of BAR 0, memory by IOMMU mappings. Prints one "name value" line for each thing it sees.
 *
 *     vfio_probe 0000:01:00.0
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { VECTORS = 16, MIB = 1 << 20, TIMEOUT_MS = 10000 };
enum { ID = 0x00, DOORBELL = 0x08, DOORBELL_COUNT = 0x0c, COPY_SRC = 0x10, COPY_DST = 0x18, COPY_LEN = 0x20,
       COPY_CTL = 0x24, COPY_STATUS = 0x28, COPY_FAULT = 0x30 };
enum { START = 1, IE = 2 };
static const uint64_t SRC = 0x100000000, DST = 0x200000000, HOLE = 0x300000000;

static volatile uint8_t *bar;

static void fail(const char *what)
{
	printf("failed %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint32_t read32(int at) { return *(volatile uint32_t *)(bar + at); }
static void write32(int at, uint32_t value) { *(volatile uint32_t *)(bar + at) = value; }
static void write64(int at, uint64_t value) { *(volatile uint64_t *)(bar + at) = value; }
static uint64_t read64(int at) { return *(volatile uint64_t *)(bar + at); }

static uint64_t wait_for(int eventfd)
{
	struct pollfd one = { .fd = eventfd, .events = POLLIN };
	uint64_t count = 0;
	if (poll(&one, 1, TIMEOUT_MS) == 1 && read(eventfd, &count, sizeof count) != sizeof count)
		fail("eventfd");
	return count;
}

static void show_interrupts(void)
{
	char line[4096];
	FILE *file = fopen("/proc/interrupts", "r");
	while (file && fgets(line, sizeof line, file))
		if (strstr(line, "vfio-msix"))
			printf("interrupts %s", line);
	fclose(file);
}

static void map_dma(int container, uint64_t iova, uint8_t *memory)
{
	struct vfio_iommu_type1_dma_map map = { .argsz = sizeof map,
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)memory, .iova = iova, .size = MIB };
	if (ioctl(container, VFIO_IOMMU_MAP_DMA, &map))
		fail("VFIO_IOMMU_MAP_DMA");
}

static uint32_t copy(uint64_t src, uint64_t dst, uint32_t len, int vector, int eventfd)
{
	write32(COPY_STATUS, 0x6);
	write64(COPY_SRC, src);
	write64(COPY_DST, dst);
	write32(COPY_LEN, len);
	write32(COPY_CTL, START | IE | vector << 8);
	wait_for(eventfd);
	return read32(COPY_STATUS);
}

int main(int argc, char **argv)
{
	char path[256], link[256] = "";
	snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/iommu_group", argc > 1 ? argv[1] : "");
	if (readlink(path, link, sizeof link - 1) < 0)
		fail(path);
	snprintf(path, sizeof path, "/dev/vfio/%s", strrchr(link, '/') + 1);
	int container = open("/dev/vfio/vfio", O_RDWR), group = open(path, O_RDWR);
	if (container < 0 || group < 0)
		fail(path);
	if (ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) || ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU))
		fail("VFIO_SET_IOMMU");
	int device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, argv[1]);
	if (device < 0)
		fail("VFIO_GROUP_GET_DEVICE_FD");

	struct vfio_region_info config = { .argsz = sizeof config, .index = VFIO_PCI_CONFIG_REGION_INDEX };
	struct vfio_region_info region = { .argsz = sizeof region, .index = VFIO_PCI_BAR0_REGION_INDEX };
	uint16_t command = 0x6; /* memory space, bus master */
	if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &config) || ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &region))
		fail("VFIO_DEVICE_GET_REGION_INFO");
	if (pwrite(device, &command, sizeof command, config.offset + 4) != sizeof command)
		fail("command register");
	bar = mmap(NULL, region.size, PROT_READ | PROT_WRITE, MAP_SHARED, device, region.offset);
	if (bar == MAP_FAILED)
		fail("mmap of BAR 0");
	printf("id %08x\n", read32(ID));

	struct { struct vfio_irq_set set; int32_t fds[VECTORS]; } irqs = { .set = { .argsz = sizeof irqs,
		.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
		.index = VFIO_PCI_MSIX_IRQ_INDEX, .count = VECTORS } };
	for (int v = 0; v < VECTORS; v++)
		irqs.fds[v] = eventfd(0, EFD_CLOEXEC);
	if (ioctl(device, VFIO_DEVICE_SET_IRQS, &irqs))
		fail("VFIO_DEVICE_SET_IRQS");
	for (int v = 0; v < VECTORS; v++) {
		write32(DOORBELL, v);
		printf("vector %d %llu\n", v, (unsigned long long)wait_for(irqs.fds[v]));
	}
	printf("doorbells %u\n", read32(DOORBELL_COUNT));
	show_interrupts();

	int prot = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_ANONYMOUS;
	uint8_t *src = mmap(NULL, MIB, prot, flags, -1, 0), *dst = mmap(NULL, MIB, prot, flags, -1, 0);
	uint32_t seed = 1;
	for (int i = 0; i < MIB; i++)
		src[i] = (seed = seed * 1664525 + 1013904223) >> 24;
	map_dma(container, SRC, src);
	map_dma(container, DST, dst);
	printf("copy %#x\n", copy(SRC, DST, MIB, 3, irqs.fds[3]));
	printf("same %d\n", memcmp(src, dst, MIB) == 0);
	memset(dst, 0, MIB);
	printf("fault %#x", copy(SRC, HOLE, MIB, 4, irqs.fds[4]));
	printf(" %#llx\n", (unsigned long long)read64(COPY_FAULT));
	return 0;
}
