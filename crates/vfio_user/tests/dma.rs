//! Memory that the client does not share: messages in the other direction.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::os::fd::AsFd;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use common::{Reply, Server, Wire, access, eventually, memfd, message, version_body};
use siov_mem::{DmaFaultReason, Iova};
use siov_vfio_user::{Command, DmaError, Errno, Limits};

const BASE: u64 = 0x10_0000;
const REPLY: u32 = 1;
const ERROR: u32 = 1 << 5;

/// Address, count and data of a DMA message.
fn dma_fields(message: &Reply) -> (u64, usize, &[u8]) {
    let field = |at: usize| u64::from_ne_bytes(message.body[at..at + 8].try_into().unwrap());
    (field(0), field(8) as usize, &message.body[16..])
}

fn answer(wire: &Wire, request: &Reply, memory: &Mutex<Vec<u8>>) {
    let (address, count, data) = dma_fields(request);
    let at = (address - BASE) as usize;
    let mut memory = memory.lock().unwrap();
    let mut body = request.body[..16].to_vec();
    if request.header.command == Command::DmaRead as u16 {
        body.extend(&memory[at..at + count]);
    } else {
        assert_eq!(data.len(), count);
        memory[at..at + count].copy_from_slice(data);
    }
    wire.send_bytes(&message(request.header.id, request.header.command, REPLY, &body));
}

fn mapped(pages: u64) -> (Server, Wire) {
    let server = Server::new();
    let wire = server.client();
    assert_eq!(wire.map(BASE, pages * 0x1000, None), 0);
    (server, wire)
}

#[test]
fn what_is_not_shared_is_read_and_written_by_messages() {
    let (server, wire) = mapped(16);
    let memory = Mutex::new((0..0x10000u32).map(|i| (i / 7) as u8).collect::<Vec<u8>>());
    let client = server.device.client();
    thread::scope(|scope| {
        let worker = scope.spawn(|| {
            let mut seen = vec![0; 0x2345];
            client.dma().read(Iova(BASE + 0x123), &mut seen).unwrap();
            client.dma().write(Iova(BASE + 0x8000), &seen).unwrap();
            seen
        });
        for command in [Command::DmaRead, Command::DmaWrite] {
            let request = wire.receive();
            assert_eq!(request.header.command, command as u16);
            answer(&wire, &request, &memory);
        }
        let seen = worker.join().unwrap();
        let memory = memory.lock().unwrap();
        assert!(seen == memory[0x123..0x123 + 0x2345] && seen == memory[0x8000..0x8000 + 0x2345]);
    });
    assert_eq!(server.endpoint.inspect().dma_messages, 2);
}

#[test]
fn a_long_access_is_cut_at_the_clients_limit() {
    let server = Server::new();
    let wire = server.connect();
    let json = br#"{"capabilities":{"max_data_xfer_size":1000}}"#;
    assert_eq!(wire.call(Command::Version, &version_body(0, 0, json)).errno(), 0);
    wire.map(BASE, 0x1000, None);
    let memory = Mutex::new(vec![0; 0x1000]);
    let client = server.device.client();
    thread::scope(|scope| {
        let worker = scope.spawn(|| client.dma().write(Iova(BASE), &[0xab; 2500]));
        for expected in [1000, 1000, 500] {
            let request = wire.receive();
            assert_eq!(dma_fields(&request).1, expected);
            answer(&wire, &request, &memory);
        }
        worker.join().unwrap().unwrap();
    });
    assert!(memory.lock().unwrap()[..2500].iter().all(|b| *b == 0xab));
}

#[test]
fn accesses_are_answered_while_the_device_waits_for_a_reply() {
    let (server, wire) = mapped(1);
    let memory = Mutex::new(vec![3; 0x1000]);
    let client = server.device.client();
    thread::scope(|scope| {
        let worker = scope.spawn(|| client.dma().read(Iova(BASE), &mut [0; 4]));
        let pending = wire.receive();
        for _ in 0..10 {
            assert_eq!(wire.read(0, 0, 4).errno(), 0);
        }
        assert_eq!(wire.write(0, 0, &[1; 4]), 0);
        assert_eq!(wire.map(0, 0x1000, None), 0, "not even a map has to wait");
        assert_eq!(wire.unmap(0, 0x1000), 0);
        answer(&wire, &pending, &memory);
        worker.join().unwrap().unwrap();
    });
}

#[test]
fn replies_find_their_askers_in_any_order() {
    let (server, wire) = mapped(1);
    let memory = Mutex::new((0..0x1000).map(|i| i as u8).collect::<Vec<u8>>());
    let client = server.device.client();
    thread::scope(|scope| {
        let askers: Vec<_> = (0..8u64)
            .map(|i| {
                let client = &client;
                scope.spawn(move || {
                    let mut byte = [0];
                    client.dma().read(Iova(BASE + i), &mut byte).unwrap();
                    assert_eq!(u64::from(byte[0]), i);
                })
            })
            .collect();
        let mut requests: Vec<Reply> = (0..8).map(|_| wire.receive()).collect();
        requests.reverse();
        requests.iter().for_each(|request| answer(&wire, request, &memory));
        askers.into_iter().for_each(|asker| asker.join().unwrap());
    });
}

#[test]
fn an_errno_from_the_client_reaches_the_device() {
    let (server, wire) = mapped(1);
    let client = server.device.client();
    thread::scope(|scope| {
        let worker = scope.spawn(|| client.dma().read(Iova(BASE), &mut [0; 4]));
        let id = wire.receive().header.id;
        let mut reply = message(id, Command::DmaRead as u16, REPLY | ERROR, &[]);
        reply[12..16].copy_from_slice(&19u32.to_ne_bytes());
        wire.send_bytes(&reply);
        let failed = DmaError::Client { iova: Iova(BASE), errno: Errno::NODEV };
        assert_eq!(worker.join().unwrap(), Err(failed));
    });
}

#[test]
fn a_reply_that_does_not_fit_its_request_is_an_error() {
    let (server, wire) = mapped(1);
    let client = server.device.client();
    thread::scope(|scope| {
        for wrong in 0..3 {
            let worker = scope.spawn(|| client.dma().read(Iova(BASE), &mut [0; 4]));
            let request = wire.receive();
            let mut body = [&request.body[..16], &[1; 4]].concat();
            match wrong {
                0 => body.truncate(18),
                1 => body[0] ^= 1,
                _ => body[8] = 5,
            }
            wire.send_bytes(&message(request.header.id, Command::DmaRead as u16, REPLY, &body));
            let failed = DmaError::Client { iova: Iova(BASE), errno: Errno::PROTO };
            assert_eq!(worker.join().unwrap(), Err(failed));
        }
    });
}

#[test]
fn a_reply_that_never_comes_is_a_timeout_and_a_late_one_is_ignored() {
    let server =
        Server::with(Limits { dma_timeout: Duration::from_millis(20), ..Limits::default() });
    let wire = server.client();
    wire.map(BASE, 0x1000, None);
    let client = server.device.client();
    assert_eq!(client.dma().read(Iova(BASE), &mut [0; 4]), Err(DmaError::Timeout(Iova(BASE))));
    let late = wire.receive();
    answer(&wire, &late, &Mutex::new(vec![0; 0x1000]));
    assert_eq!(wire.read(0, 0, 4).errno(), 0);
    assert_eq!(server.endpoint.inspect().counters.stray_replies, 1);
}

#[test]
fn a_client_that_dies_wakes_whoever_waits_for_it() {
    let (server, wire) = mapped(1);
    let client = server.device.client();
    thread::scope(|scope| {
        let worker = scope.spawn(|| client.dma().read(Iova(BASE), &mut [0; 4]));
        wire.receive();
        drop(wire);
        assert_eq!(worker.join().unwrap(), Err(DmaError::Disconnected));
    });
    eventually("the device is told", || server.device.log() == ["attached", "detached"]);
    assert!(!client.is_connected());
    assert_eq!(client.dma().read(Iova(BASE), &mut [0; 4]), Err(DmaError::Disconnected));
}

#[test]
fn an_access_across_shared_and_other_memory_uses_both() {
    let server = Server::new();
    let wire = server.client();
    let shared = memfd(0x1000);
    wire.map(BASE - 0x1000, 0x1000, Some(shared.as_fd()));
    wire.map(BASE, 0x1000, None);
    let memory = Mutex::new(vec![0; 0x1000]);
    let client = server.device.client();
    thread::scope(|scope| {
        let worker = scope.spawn(|| client.dma().write(Iova(BASE - 3), b"abcdef"));
        answer(&wire, &wire.receive(), &memory);
        worker.join().unwrap().unwrap();
    });
    let mut seen = [0; 3];
    rustix::io::pread(&shared, &mut seen, 0xffd).unwrap();
    assert_eq!((&seen, &memory.lock().unwrap()[..3]), (b"abc", &b"def"[..]));
}

#[test]
fn a_hole_is_a_fault_at_its_first_address() {
    let server = Server::new();
    let wire = server.client();
    let shared = memfd(0x1000);
    wire.map(BASE, 0x1000, Some(shared.as_fd()));
    let client = server.device.client();
    let Err(DmaError::Fault(fault)) = client.dma().write(Iova(BASE + 0xffe), &[1; 4]) else {
        panic!("no fault");
    };
    assert_eq!((fault.iova, fault.reason), (Iova(BASE + 0x1000), DmaFaultReason::NotMapped));
}

#[test]
fn a_message_is_refused_on_the_thread_that_would_read_its_reply() {
    use std::sync::{Arc, OnceLock};

    use siov_vfio_user::{Client, Device, DeviceLayout, Endpoint, RegionLayout};

    #[derive(Default)]
    struct Doorbell(OnceLock<Arc<Client>>, Mutex<Option<Result<(), DmaError>>>);
    impl Device for Doorbell {
        fn layout(&self) -> DeviceLayout {
            DeviceLayout { regions: vec![RegionLayout::trapped(4096)], irqs: vec![] }
        }
        fn read(&self, _: u32, _: u64, _: &mut [u8]) -> Result<(), Errno> {
            Ok(())
        }
        fn write(&self, _: u32, _: u64, _: &[u8]) -> Result<(), Errno> {
            let done = self.0.get().unwrap().dma().read(Iova(BASE), &mut [0; 4]);
            *self.1.lock().unwrap() = Some(done);
            Ok(())
        }
        fn reset(&self) {}
        fn attached(&self, client: Arc<Client>) -> Result<(), Errno> {
            self.0.set(client).ok().unwrap();
            Ok(())
        }
        fn detached(&self) {}
    }

    let device = Arc::new(Doorbell::default());
    let endpoint = Endpoint::bind(common::socket_path(), device.clone()).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| endpoint.run().unwrap());
        let wire = Wire(std::os::unix::net::UnixStream::connect(endpoint.path()).unwrap());
        wire.version();
        wire.map(BASE, 0x1000, None);
        wire.send_bytes(&message(1, Command::RegionWrite as u16, 0, &access(0, 0, 1, &[1])));
        assert_eq!(wire.receive().errno(), 0);
        endpoint.stop();
    });
    let seen = device.1.lock().unwrap().take();
    assert_eq!(seen, Some(Err(DmaError::WouldDeadlock(Iova(BASE)))));
}

#[test]
fn the_message_goes_out_before_the_reply_to_the_unmap() {
    let (server, wire) = mapped(1);
    let client = server.device.client();
    thread::scope(|scope| {
        let worker = scope.spawn(|| while client.dma().write(Iova(BASE), &[1; 4]).is_ok() {});
        let mut unmapped = false;
        wire.send_bytes(&message(500, 3, 0, &common::dma_unmap(0, BASE, 0x1000)));
        while !unmapped {
            let message = wire.receive();
            unmapped = message.header.command == Command::DmaUnmap as u16;
            if !unmapped {
                answer(&wire, &message, &Mutex::new(vec![0; 0x1000]));
            }
        }
        worker.join().unwrap();
        assert_eq!(wire.read(0, 0, 4).header.command, Command::RegionRead as u16);
    });
}
