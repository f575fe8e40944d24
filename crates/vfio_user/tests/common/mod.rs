//! A device that remembers, a server around it, and a client that says exactly what it is told.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::io::{IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
pub use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
pub use siov_vfio_user::{
    Client, Command, Device, DeviceLayout, DmaMapped, Endpoint, Header, Iova, IrqChange, IrqLayout,
    Limits, RegionLayout, RegionMmap, SparseArea, pci,
};

pub const NO_REPLY: u32 = 1 << 4;
pub const BAR_SIZE: u64 = 0x10000;
pub const VECTORS: u32 = 5;

/// 64 KiB of registers in BAR 0, a BAR 2 with two pages to map, 256 bytes of configuration space.
pub struct TestDevice {
    pub bar0: Mutex<Vec<u8>>,
    pub config: Mutex<Vec<u8>>,
    pub bar2: Arc<OwnedFd>,
    pub client: Mutex<Option<Arc<Client>>>,
    pub log: Mutex<Vec<String>>,
    /// What its hooks for maps and interrupts were told.
    pub told: Mutex<Vec<String>>,
    /// What the next hook is to answer.
    pub refuse: Mutex<Option<Errno>>,
}

impl TestDevice {
    pub fn new() -> Arc<TestDevice> {
        Arc::new(TestDevice {
            bar0: Mutex::new(vec![0; BAR_SIZE as usize]),
            config: Mutex::new((0..=255).collect()),
            bar2: Arc::new(memfd(0x4000)),
            client: Mutex::new(None),
            log: Mutex::new(Vec::new()),
            told: Mutex::new(Vec::new()),
            refuse: Mutex::new(None),
        })
    }

    pub fn client(&self) -> Arc<Client> {
        self.client.lock().unwrap().clone().expect("a client is attached")
    }

    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// What its hooks were told since the last call.
    pub fn take_told(&self) -> Vec<String> {
        std::mem::take(&mut *self.told.lock().unwrap())
    }

    fn hear(&self, what: String) -> Result<(), Errno> {
        self.told.lock().unwrap().push(what);
        self.refuse.lock().unwrap().take().map_or(Ok(()), Err)
    }

    fn say(&self, what: impl Into<String>) {
        self.log.lock().unwrap().push(what.into());
    }

    fn memory(&self, region: u32) -> &Mutex<Vec<u8>> {
        if region == pci::CONFIG { &self.config } else { &self.bar0 }
    }
}

impl Device for TestDevice {
    fn layout(&self) -> DeviceLayout {
        let mut regions = vec![RegionLayout::default(); pci::NUM_REGIONS];
        regions[0] = RegionLayout::trapped(BAR_SIZE);
        regions[1] = RegionLayout { size: 0x1000, readable: true, writable: false, mmap: None };
        let areas = vec![
            SparseArea { offset: 0x1000, size: 0x1000 },
            SparseArea { offset: 0x3000, size: 0x1000 },
        ];
        let mmap = RegionMmap { fd: Arc::clone(&self.bar2), offset: 0, areas };
        regions[2] = RegionLayout { mmap: Some(mmap), ..RegionLayout::trapped(0x4000) };
        regions[pci::CONFIG as usize] = RegionLayout::trapped(256);
        let mut irqs = vec![IrqLayout::default(); pci::NUM_IRQS];
        irqs[0] = IrqLayout { count: 1, maskable: true, automasked: true, noresize: false };
        irqs[2] = IrqLayout { count: VECTORS, noresize: true, ..IrqLayout::default() };
        DeviceLayout { regions, irqs }
    }

    fn read(&self, region: u32, offset: u64, data: &mut [u8]) -> Result<(), Errno> {
        if region == 0 && offset == 0xbad0 {
            return Err(Errno::IO);
        }
        let memory = self.memory(region).lock().unwrap();
        data.copy_from_slice(&memory[offset as usize..][..data.len()]);
        Ok(())
    }

    fn write(&self, region: u32, offset: u64, data: &[u8]) -> Result<(), Errno> {
        if region == 0 && offset == 0xbad0 {
            return Err(Errno::IO);
        }
        self.memory(region).lock().unwrap()[offset as usize..][..data.len()].copy_from_slice(data);
        Ok(())
    }

    fn reset(&self) {
        self.bar0.lock().unwrap().fill(0);
        self.say("reset");
    }

    fn attached(&self, client: Arc<Client>) -> Result<(), Errno> {
        let refused = self.refuse.lock().unwrap().take();
        self.say(if refused.is_some() { "refused" } else { "attached" });
        *self.client.lock().unwrap() = Some(client);
        refused.map_or(Ok(()), Err)
    }

    fn dma_mapped(&self, map: &DmaMapped<'_>) -> Result<(), Errno> {
        let at = map.shared.map(|(_, at)| at);
        self.hear(format!("map {:#x} {:#x} {} {at:x?}", map.iova.0, map.size, map.perm))
    }

    fn dma_unmapped(&self, first: Iova, last: Iova) -> Result<(), Errno> {
        let left = self.client().dma().maps().len();
        self.hear(format!("unmap {:#x} {:#x}, {left} left", first.0, last.0))
    }

    fn irqs_set(&self, index: u32, change: IrqChange<'_>) -> Result<(), Errno> {
        self.hear(match change {
            IrqChange::Disable => format!("disable {index}"),
            IrqChange::Assign(start, fds) => format!("assign {index} {start} {}", fds.len()),
            IrqChange::Release(start, count) => format!("release {index} {start} {count}"),
        })
    }

    fn detached(&self) {
        self.say("detached");
    }
}

/// An endpoint on a thread of its own, stopped when dropped.
pub struct Server {
    pub device: Arc<TestDevice>,
    pub endpoint: Arc<Endpoint>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub fn new() -> Server {
        Server::with(Limits::default())
    }

    pub fn with(limits: Limits) -> Server {
        let device = TestDevice::new();
        let endpoint = Endpoint::bind_with(socket_path(), device.clone(), limits).unwrap();
        let endpoint = Arc::new(endpoint);
        let thread = thread::spawn({
            let endpoint = Arc::clone(&endpoint);
            move || endpoint.run().unwrap()
        });
        Server { device, endpoint, thread: Some(thread) }
    }

    pub fn path(&self) -> &Path {
        self.endpoint.path()
    }

    /// A client that has not said anything yet.
    pub fn connect(&self) -> Wire {
        Wire(UnixStream::connect(self.path()).unwrap())
    }

    /// A client that has agreed on a version.
    pub fn client(&self) -> Wire {
        let wire = self.connect();
        wire.version();
        wire
    }

    pub fn stop(&mut self) {
        self.endpoint.stop();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

pub fn socket_path() -> PathBuf {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("vfio-user-test-{}-{n}.sock", std::process::id()))
}

/// One end of a connection, message by message.
pub struct Wire(pub UnixStream);

pub struct Reply {
    pub header: Header,
    pub body: Vec<u8>,
}

impl Reply {
    /// The errno, 0 for success.
    pub fn errno(&self) -> u32 {
        if self.header.flags & (1 << 5) == 0 {
            return 0;
        }
        assert!(self.body.is_empty(), "an error reply is a header only");
        self.header.error
    }
}

pub fn message(id: u16, command: u16, flags: u32, body: &[u8]) -> Vec<u8> {
    let size = 16 + body.len() as u32;
    [&Header { id, command, size, flags, error: 0 }.encode()[..], body].concat()
}

impl Wire {
    pub fn send_bytes(&self, bytes: &[u8]) {
        (&self.0).write_all(bytes).unwrap();
    }

    pub fn send_fds(&self, bytes: &[u8], fds: &[BorrowedFd<'_>]) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(64))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        assert!(control.push(SendAncillaryMessage::ScmRights(fds)));
        let parts = [IoSlice::new(bytes)];
        let sent = sendmsg(&self.0, &parts, &mut control, SendFlags::NOSIGNAL).unwrap();
        assert_eq!(sent, bytes.len());
    }

    pub fn receive(&self) -> Reply {
        let mut header = [0; 16];
        (&self.0).read_exact(&mut header).unwrap();
        let header = Header::parse(&header).unwrap();
        let mut body = vec![0; header.size as usize - 16];
        (&self.0).read_exact(&mut body).unwrap();
        Reply { header, body }
    }

    pub fn call(&self, command: Command, body: &[u8]) -> Reply {
        self.call_fds(command, body, &[])
    }

    pub fn call_fds(&self, command: Command, body: &[u8], fds: &[BorrowedFd<'_>]) -> Reply {
        let message = message(77, command as u16, 0, body);
        if fds.is_empty() {
            self.send_bytes(&message)
        } else {
            self.send_fds(&message, fds)
        }
        let reply = self.receive();
        assert_eq!((reply.header.id, reply.header.command), (77, command as u16));
        reply
    }

    pub fn version(&self) {
        let json = br#"{"capabilities":{"max_msg_fds":16,"write_multiple":true}}"#;
        assert_eq!(self.call(Command::Version, &version_body(0, 0, json)).errno(), 0);
    }

    pub fn read(&self, region: u32, offset: u64, count: u32) -> Reply {
        self.call(Command::RegionRead, &access(region, offset, count, &[]))
    }

    pub fn read_u32(&self, region: u32, offset: u64) -> u32 {
        let reply = self.read(region, offset, 4);
        assert_eq!(reply.errno(), 0);
        u32::from_ne_bytes(reply.body[16..].try_into().unwrap())
    }

    pub fn write(&self, region: u32, offset: u64, data: &[u8]) -> u32 {
        let body = access(region, offset, data.len() as u32, data);
        self.call(Command::RegionWrite, &body).errno()
    }

    pub fn map(&self, iova: u64, size: u64, fd: Option<BorrowedFd<'_>>) -> u32 {
        self.call_fds(Command::DmaMap, &dma_map(3, 0, iova, size), fd.as_slice()).errno()
    }

    pub fn unmap(&self, iova: u64, size: u64) -> u32 {
        self.call(Command::DmaUnmap, &dma_unmap(0, iova, size)).errno()
    }

    pub fn set_irqs(
        &self,
        flags: u32,
        index: u32,
        start: u32,
        count: u32,
        bools: &[u8],
        fds: &[BorrowedFd<'_>],
    ) -> u32 {
        let mut body = words(&[20 + bools.len() as u32, flags, index, start, count]);
        body.extend(bools);
        self.call_fds(Command::SetIrqs, &body, fds).errno()
    }

    /// Whether the server ends the connection, now or soon.
    pub fn is_closed(&self) -> bool {
        self.0.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut rest = Vec::new();
        let ended = match (&self.0).read_to_end(&mut rest) {
            Ok(_) => true,
            Err(e) => e.kind() == std::io::ErrorKind::ConnectionReset,
        };
        self.0.set_read_timeout(None).unwrap();
        ended
    }
}

pub fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

pub fn version_body(major: u16, minor: u16, json: &[u8]) -> Vec<u8> {
    [&major.to_ne_bytes()[..], &minor.to_ne_bytes(), json, &[0]].concat()
}

pub fn access(region: u32, offset: u64, count: u32, data: &[u8]) -> Vec<u8> {
    [&offset.to_ne_bytes()[..], &words(&[region, count]), data].concat()
}

pub fn dma_map(flags: u32, offset: u64, iova: u64, size: u64) -> Vec<u8> {
    let long: Vec<u8> = [offset, iova, size].iter().flat_map(|n| n.to_ne_bytes()).collect();
    [words(&[32, flags]), long].concat()
}

pub fn dma_unmap(flags: u32, iova: u64, size: u64) -> Vec<u8> {
    let long: Vec<u8> = [iova, size].iter().flat_map(|n| n.to_ne_bytes()).collect();
    [words(&[24, flags]), long].concat()
}

pub fn memfd(len: u64) -> OwnedFd {
    let fd = memfd_create("vfio-user-test", MemfdFlags::CLOEXEC).unwrap();
    ftruncate(&fd, len).unwrap();
    fd
}

pub fn new_eventfd() -> OwnedFd {
    eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).unwrap()
}

/// What was added to an eventfd since the last look.
pub fn fired(fd: impl AsFd) -> u64 {
    let mut value = [0; 8];
    match rustix::io::read(fd, &mut value) {
        Ok(_) => u64::from_ne_bytes(value),
        Err(e) => {
            assert_eq!(e, Errno::AGAIN);
            0
        }
    }
}

/// Waits for something that another thread is about to bring about.
pub fn eventually(what: &str, mut is: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is() {
        assert!(begin.elapsed() < Duration::from_secs(10), "never happened: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}
