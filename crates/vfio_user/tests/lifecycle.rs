//! Sockets that are taken, clients that come and go, clients that mean harm.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use common::{
    Server, TestDevice, Wire, access, eventually, memfd, message, new_eventfd, socket_path,
};
use rustix::fs::ftruncate;
use siov_mem::{DmaFaultReason, Iova};
use siov_vfio_user::{BindError, Command, DmaError, Endpoint, EndpointError, Limits};

fn bind(path: &std::path::Path) -> Result<Endpoint, BindError> {
    Endpoint::bind(path, TestDevice::new())
}

#[test]
fn a_path_of_107_bytes_is_taken_and_one_more_is_too_long() {
    let dir = std::env::temp_dir();
    let room = 107 - dir.as_os_str().len() - 1;
    let fits = dir.join(format!("{:x<room$}", std::process::id()));
    assert_eq!(fits.as_os_str().len(), 107);
    drop(bind(&fits).unwrap());
    let long = dir.join(format!("{:x<1$}", std::process::id(), room + 1));
    assert!(matches!(bind(&long), Err(BindError::TooLong { len: 108, .. })));
}

#[test]
fn a_socket_that_somebody_listens_on_is_left_alone() {
    let server = Server::new();
    assert!(matches!(bind(server.path()), Err(BindError::Taken(_))));
    assert_eq!(server.client().read(0, 0, 4).errno(), 0);
    assert_eq!(server.device.log()[0], "attached", "the probe was no client to the device");
}

#[test]
fn a_socket_of_a_dead_server_is_replaced() {
    let path = socket_path();
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    drop(bind(&path).unwrap());
    assert!(!path.exists());
}

#[test]
fn a_file_that_is_no_socket_is_left_alone() {
    let path = socket_path();
    std::fs::write(&path, "precious").unwrap();
    assert!(matches!(bind(&path), Err(BindError::NotASocket(_))));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_folder_that_is_not_there_is_said_with_the_path() {
    let path = std::env::temp_dir().join("no-such-folder-of-ours/x.sock");
    let error = bind(&path).unwrap_err();
    assert!(matches!(error, BindError::Os { .. }) && error.to_string().contains("no-such-folder"));
}

#[test]
fn a_socket_file_that_somebody_replaced_is_not_removed() {
    let mut server = Server::new();
    let path = server.path().to_owned();
    std::fs::remove_file(&path).unwrap();
    let _other = UnixListener::bind(&path).unwrap();
    server.stop();
    assert!(path.exists());
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn stop_ends_the_run_with_or_without_a_client_and_removes_the_file() {
    let mut server = Server::new();
    server.stop();
    assert!(!server.path().exists());
    let mut server = Server::new();
    let wire = server.client();
    server.stop();
    assert!(wire.is_closed() && !server.path().exists());
    assert_eq!(server.device.log(), ["attached", "detached"]);
    assert_eq!(server.endpoint.run(), Ok(()), "stopped is for good");
}

#[test]
fn an_endpoint_runs_on_one_thread_only() {
    let server = Server::new();
    let _wire = server.client();
    let path = server.path().to_owned();
    assert_eq!(server.endpoint.run(), Err(EndpointError::Running(path)));
}

#[test]
fn a_second_client_is_turned_away_and_the_first_does_not_notice() {
    let server = Server::new();
    let first = server.client();
    for _ in 0..3 {
        assert!(server.connect().is_closed());
    }
    assert_eq!(first.read(0, 0, 4).errno(), 0);
    let counters = server.endpoint.inspect().counters;
    assert_eq!((counters.connections, counters.refused), (1, 3));
}

#[test]
fn a_client_that_comes_as_the_last_one_leaves_is_served() {
    let server = Server::new();
    for round in 0..100 {
        let wire = server.client();
        assert_eq!(wire.read(0, 0, 4).errno(), 0, "round {round}");
    }
    assert_eq!(server.endpoint.inspect().counters.refused, 0);
}

#[test]
fn two_endpoints_serve_at_once_and_keep_apart() {
    let servers = [Server::new(), Server::new()];
    thread::scope(|scope| {
        for (i, server) in servers.iter().enumerate() {
            scope.spawn(move || {
                let wire = server.client();
                for n in 0..500 {
                    assert_eq!(wire.write(0, 0, &[i as u8, n as u8, 0, 0]), 0);
                    assert_eq!(wire.read_u32(0, 0), u32::from_ne_bytes([i as u8, n as u8, 0, 0]));
                }
            });
        }
    });
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

fn mappings() -> usize {
    std::fs::read_to_string("/proc/self/maps").unwrap().matches("vfio-user-test").count()
}

/// In a process of its own: the other tests open files too.
#[test]
fn two_hundred_clients_leave_no_file_and_no_mapping() {
    const NAME: &str = "two_hundred_clients_leave_no_file_and_no_mapping";
    if std::env::var_os("VFIO_USER_TEST_CHILD").is_none() {
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", NAME, "--test-threads=1"])
            .env("VFIO_USER_TEST_CHILD", "1")
            .output()
            .unwrap()
            .status;
        assert!(status.success());
        return;
    }
    let server = Server::new();
    let memory = memfd(0x10000);
    let eventfds = [new_eventfd(), new_eventfd()];
    let live = |_: usize| {
        let wire = server.client();
        for i in 0..4 {
            assert_eq!(wire.map(i * 0x10000, 0x10000, Some(memory.as_fd())), 0);
        }
        wire.map(1 << 30, 0x1000, None);
        let fds = [eventfds[0].as_fd(), eventfds[1].as_fd()];
        assert_eq!(wire.set_irqs(0x24, 2, 0, 2, &[], &fds), 0);
        assert_ne!(wire.map(0, 0x1000, Some(memory.as_fd())), 0);
    };
    let settled = || eventually("all is let go", || !server.endpoint.inspect().connected);
    live(0);
    settled();
    let before = (open_files(), mappings());
    (0..200).for_each(live);
    settled();
    assert_eq!((open_files(), mappings()), before);
    assert_eq!(before.1, 0);
}

#[test]
fn a_message_of_an_impossible_size_ends_the_connection_not_the_server() {
    let server = Server::new();
    for size in [0u32, 15, (1 << 20) + 33, u32::MAX] {
        let wire = server.client();
        let mut header = message(1, Command::Reset as u16, 0, &[]);
        header[4..8].copy_from_slice(&size.to_ne_bytes());
        wire.send_bytes(&header);
        assert!(wire.is_closed());
    }
    assert_eq!(server.client().read(0, 0, 4).errno(), 0);
    assert_eq!(server.endpoint.inspect().counters.lost_streams, 4);
}

#[test]
fn a_message_cut_off_by_the_end_is_dropped() {
    let server = Server::new();
    let write = message(1, Command::RegionWrite as u16, 0, &access(0, 0, 4, &[9; 4]));
    for cut in [1, 15, 16, 35] {
        let wire = server.client();
        wire.send_bytes(&write[..cut]);
    }
    assert_eq!(server.client().read_u32(0, 0), 0);
}

#[test]
fn a_message_byte_by_byte_is_understood_and_holds_up_nobody_else() {
    let server = Server::new();
    let other = Server::new();
    let wire = server.client();
    let fast = other.client();
    for byte in message(1, Command::RegionWrite as u16, 0, &access(0, 4, 4, &[9; 4])) {
        wire.send_bytes(&[byte]);
        assert_eq!(fast.read(0, 0, 4).errno(), 0);
    }
    assert_eq!(wire.receive().errno(), 0);
    assert_eq!(wire.read_u32(0, 4), 0x0909_0909);
}

#[test]
fn stop_does_not_wait_for_the_rest_of_a_header() {
    let mut server = Server::new();
    let wire = server.client();
    wire.send_bytes(&[1, 2, 3]);
    server.stop();
    assert!(wire.is_closed());
}

/// Asks for more than the socket holds, and reads none of it.
fn never_read(wire: &Wire) {
    let request = message(1, Command::RegionRead as u16, 0, &access(0, 0, 0x10000, &[]));
    for _ in 0..1000 {
        if (&wire.0).write_all(&request).is_err() {
            return;
        }
    }
}

#[test]
fn a_client_that_never_reads_is_disconnected() {
    let limits = Limits { send_timeout: Duration::from_millis(50), ..Limits::default() };
    let server = Server::with(limits);
    let wire = server.client();
    never_read(&wire);
    eventually("the client is gone", || !server.endpoint.inspect().connected);
    assert_eq!(server.endpoint.inspect().counters.stalled, 1);
    assert_eq!(server.client().read(0, 0, 4).errno(), 0);
}

#[test]
fn stop_does_not_wait_for_a_client_that_never_reads() {
    let limits = Limits { send_timeout: Duration::from_secs(3600), ..Limits::default() };
    let mut server = Server::with(limits);
    let wire = server.client();
    thread::scope(|scope| {
        scope.spawn(|| never_read(&wire));
        thread::sleep(Duration::from_millis(20));
        server.stop();
    });
}

#[test]
fn a_client_that_leaves_without_reading_its_replies_raises_no_sigpipe() {
    let server = Server::new();
    for _ in 0..20 {
        let wire = server.client();
        for _ in 0..50 {
            wire.send_bytes(&message(1, Command::RegionRead as u16, 0, &access(0, 0, 4096, &[])));
        }
    }
    assert_eq!(server.client().read(0, 0, 4).errno(), 0);
}

#[test]
fn memory_that_shrinks_under_the_device_is_a_fault_to_it_and_harmless_to_others() {
    let server = Server::new();
    let other = Server::new();
    let (bad, good) = (memfd(0x100000), memfd(0x100000));
    let wires = [server.client(), other.client()];
    wires[0].map(0, 0x100000, Some(bad.as_fd()));
    wires[1].map(0, 0x100000, Some(good.as_fd()));
    ftruncate(&bad, 0x1000).unwrap();
    let Err(DmaError::Fault(fault)) = server.device.client().dma().write(Iova(0), &[1; 0x100000])
    else {
        panic!("no fault");
    };
    assert_eq!(fault.reason, DmaFaultReason::Poisoned);
    assert_eq!(other.device.client().dma().write(Iova(0), &[1; 0x100000]), Ok(()));
    assert!(server.endpoint.inspect().maps[0].poisoned);
    assert_eq!(wires[0].unmap(0, 0x100000), 0);
    let again = memfd(0x100000);
    assert_eq!(wires[0].map(0, 0x100000, Some(again.as_fd())), 0);
    assert_eq!(server.device.client().dma().write(Iova(0), &[1; 0x100000]), Ok(()));
}

#[test]
fn limits_on_memory_and_maps_are_errnos() {
    let limits = Limits {
        max_dma_maps: 2,
        max_shared_bytes: 0x3000,
        max_shared_files: 9,
        ..Limits::default()
    };
    let server = Server::with(limits);
    let wire = server.client();
    let memory = memfd(0x2000);
    assert_eq!(wire.map(0, 0x2000, Some(memory.as_fd())), 0);
    let other = memfd(0x2000);
    assert_eq!(wire.map(0x10000, 0x2000, Some(other.as_fd())), 12, "ENOMEM");
    assert_eq!(wire.map(0x10000, 0x2000, None), 0);
    assert_eq!(wire.map(0x20000, 0x1000, None), 28, "ENOSPC");
}

#[test]
fn a_device_that_panics_ends_its_own_endpoint_only() {
    use siov_vfio_user::{Client, Device, DeviceLayout, Errno, RegionLayout};
    struct Broken;
    impl Device for Broken {
        fn layout(&self) -> DeviceLayout {
            DeviceLayout { regions: vec![RegionLayout::trapped(4096)], irqs: vec![] }
        }
        fn read(&self, _: u32, _: u64, _: &mut [u8]) -> Result<(), Errno> {
            panic!("a bug in a device");
        }
        fn write(&self, _: u32, _: u64, _: &[u8]) -> Result<(), Errno> {
            Ok(())
        }
        fn reset(&self) {}
        fn attached(&self, _: Arc<Client>) -> Result<(), Errno> {
            Ok(())
        }
        fn detached(&self) {}
    }
    let endpoint = Endpoint::bind(socket_path(), Arc::new(Broken)).unwrap();
    let path = endpoint.path().to_owned();
    let run = thread::spawn(move || endpoint.run());
    let wire = Wire(UnixStream::connect(&path).unwrap());
    wire.version();
    wire.send_bytes(&message(1, Command::RegionRead as u16, 0, &access(0, 0, 4, &[])));
    assert!(wire.is_closed());
    assert!(run.join().is_err());
    assert!(!path.exists());
}

#[test]
fn the_state_names_what_a_client_has_done() {
    let server = Server::new();
    assert!(!server.endpoint.inspect().connected);
    let wire = server.client();
    wire.map(0x1000, 0x1000, None);
    wire.read(0, 0, 4);
    wire.read(0, 0, 4);
    let state = server.endpoint.inspect();
    assert!(state.running && state.connected);
    assert_eq!((state.path.as_path(), state.version), (server.path(), Some((0, 0))));
    assert_eq!((state.maps[0].iova, state.maps[0].shared), (Iova(0x1000), false));
    let done = |name| state.counters.commands.iter().find(|(n, _)| *n == name).unwrap().1;
    assert_eq!((done("VERSION"), done("DMA_MAP"), done("REGION_READ")), (1, 1, 2));
    let mut end = Vec::new();
    drop(server);
    assert!((&wire.0).read_to_end(&mut end).is_ok());
}
