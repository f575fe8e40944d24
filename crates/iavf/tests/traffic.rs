//! Traffic between two guests through the device model, checked in every byte.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use common::{DIRECT, Machine, Options, SEED, load};
use siov_iavf::{Checked, Exit, GuestResults, Load, Tag, Traffic};
use siov_lan::Clock;
use siov_mmu::Fault;

const STREAM: Traffic =
    Traffic::Stream { window: 256 << 10, chunk: 1448, mss: None, timeout: 1 << 40 };

fn results(machine: &Machine, guest: u32) -> GuestResults {
    machine.guests.with(guest, |guest| guest.results()).unwrap()
}

/// Nothing is wrong with what was received, and it is so many frames.
fn assert_clean(checked: &Checked, frames: u64) {
    let clean = Checked { frames, in_order: frames, bytes: checked.bytes, ..Checked::default() };
    assert_eq!(*checked, clean);
}

fn pass(options: Options, load: Load) -> (GuestResults, GuestResults) {
    let machine = Machine::new(options);
    machine.send(load);
    machine.settle();
    let (from, to) = (results(&machine, 0), results(&machine, 1));
    assert_eq!(from.rings.tx_done, from.rings.tx_frames);
    assert_eq!((from.rings.tx_strange, to.rings.rx_oversize), (0, 0));
    assert!(from.done.iter().all(|done| *done));
    (from, to)
}

#[test]
fn datagrams_of_all_sizes_arrive_whole_and_in_order_in_every_profile() {
    for rxdid in [1, 2, 22] {
        let options = Options { rxdid, ..Options::default() };
        let (from, to) = pass(options, load(Traffic::Generate, 3000));
        assert_clean(&to.checked, 3000);
        assert_eq!(to.checked.bytes, from.senders[0].bytes);
    }
}

#[test]
fn frames_over_several_descriptors_arrive_whole() {
    let sizes = vec![2048, 2049, 4096, 5000, 9702];
    let options = Options { rx_buffer: 2048, ..Options::default() };
    let (_, to) = pass(options, Load { sizes, burst: 8, ..load(Traffic::Generate, 500) });
    assert_clean(&to.checked, 500);
    let sizes = vec![1500, 200, 641];
    let options = Options { rx_buffer: 384, ..Options::default() };
    let (_, to) = pass(options, Load { sizes, burst: 8, ..load(Traffic::Generate, 500) });
    assert_clean(&to.checked, 500);
}

#[test]
fn checksums_are_the_same_made_by_the_device_or_by_the_guest() {
    for (v6, offload, ip_checksum) in
        [(false, false, false), (false, true, true), (true, true, false), (true, false, false)]
    {
        let (_, to) = pass(
            Options::default(),
            Load { v6, offload, ip_checksum, ..load(Traffic::Generate, 600) },
        );
        assert_clean(&to.checked, 600);
    }
}

#[test]
fn a_stream_arrives_byte_by_byte() {
    let bytes = 3 << 20;
    let (from, to) = pass(Options::default(), load(STREAM, bytes));
    assert_eq!(from.senders[0].answered, 4 * bytes);
    assert_eq!((from.senders[0].timeouts, from.answers_dropped), (0, 0));
    assert_clean(&to.checked, from.senders[0].frames);
    // Acknowledgements are frames too, and are looked at as closely.
    assert_eq!(from.checked.corrupt + from.checked.foreign, 0);
}

#[test]
fn a_stream_that_the_device_segments_arrives_byte_by_byte() {
    for (v6, mss) in [(false, 1448), (true, 1428), (false, 536), (false, 999)] {
        let traffic =
            Traffic::Stream { window: 128 << 10, chunk: 32_768, mss: Some(mss), timeout: 1 << 40 };
        let bytes = 1_000_003;
        let (from, to) =
            pass(Options::default(), Load { v6, flows: 2, burst: 2, ..load(traffic, bytes) });
        assert_eq!(from.senders[0].answered, 2 * bytes);
        let each = |len: u64| len.div_ceil(mss.into());
        let whole = bytes / 32_768;
        let segments = 2 * (whole * each(32_768) + each(bytes % 32_768));
        assert_clean(&to.checked, segments);
    }
}

#[test]
fn requests_are_answered_and_their_time_is_taken() {
    let traffic = Traffic::Request { depth: 8, timeout: 1 << 40 };
    let machine = Machine::new(Options { echo: true, ..Options::default() });
    machine.send(load(traffic, 2000));
    machine.settle();
    let (from, to) = (results(&machine, 0), results(&machine, 1));
    assert_clean(&to.checked, 2000);
    assert_clean(&from.checked, 2000);
    let sender = &from.senders[0];
    assert_eq!((sender.answered, sender.timeouts, sender.unasked), (2000, 0, 0));
    assert_eq!(sender.latency.count(), 2000);
    assert!(sender.latency.min() > 0 && sender.latency.quantile(0.5) <= sender.latency.max());
}

#[test]
fn the_time_of_requests_is_the_clocks() {
    let clock = Clock::virtual_();
    let machine = Machine::with_clock(Options { echo: true, ..Options::default() }, clock.clone());
    machine.send(load(Traffic::Request { depth: 1, timeout: 1 << 40 }, 20));
    for _ in 0..2000 {
        machine.turn();
        clock.advance(1000);
    }
    let from = results(&machine, 0);
    assert_eq!(from.senders[0].answered, 20);
    let latency = &from.senders[0].latency;
    assert!(latency.min() >= 1000 && latency.min().is_multiple_of(1000), "{latency:?}");
}

#[test]
fn loads_of_the_same_kind_to_the_same_guest_are_told_apart() {
    let request = Traffic::Request { depth: 8, timeout: 1 << 40 };
    for traffic in [request, Traffic::Generate, STREAM] {
        let machine = Machine::new(Options { echo: true, ..Options::default() });
        for count in [200, 300] {
            machine.send(load(traffic.clone(), count));
            machine.settle();
        }
        let (from, to) = (results(&machine, 0), results(&machine, 1));
        assert!(from.done.iter().all(|done| *done));
        assert_clean(&to.checked, to.checked.frames);
        if !matches!(traffic, Traffic::Generate) {
            assert!(from.senders.iter().all(|sender| sender.answered > 0 && sender.unasked == 0));
        }
    }
}

#[test]
fn a_rate_is_kept() {
    let clock = Clock::virtual_();
    let machine = Machine::with_clock(Options::default(), clock.clone());
    machine.send(Load { rate: Some(100_000), ..load(Traffic::Generate, 1 << 40) });
    for _ in 0..1000 {
        machine.turn();
        clock.advance(100_000);
    }
    let sent = results(&machine, 0).senders[0].frames;
    assert!((9990..=10_010).contains(&sent), "{sent} frames in 100 ms");
}

#[test]
fn a_tag_that_a_descriptor_inserts_is_seen_by_the_receiver() {
    let options = Options { vlan: Some(0x2064), ..Options::default() };
    let tag = Some(Tag::L2tag1(0x2064));
    let (_, to) = pass(options, Load { tag, ..load(Traffic::Generate, 300) });
    assert_clean(&to.checked, 300);
    let tag = Some(Tag::L2tag1(0x2065));
    let (_, to) = pass(options, Load { tag, ..load(Traffic::Generate, 300) });
    assert_eq!(to.checked.wrong_tag, 300);
    let (_, to) = pass(options, load(Traffic::Generate, 300));
    assert_eq!(to.checked.wrong_tag, 300);
}

#[test]
fn a_busy_receiver_polls_and_takes_few_interrupts() {
    let (_, to) = pass(Options::default(), load(Traffic::Generate, 20_000));
    assert!(to.rings.interrupts > 0);
    assert!(to.rings.interrupts < 20_000 / 8, "{} interrupts", to.rings.interrupts);
    assert!(to.rings.polls >= to.rings.interrupts);
}

#[test]
fn what_another_seed_made_is_corrupt() {
    let (_, to) = pass(Options::default(), Load { seed: SEED + 1, ..load(Traffic::Generate, 100) });
    assert_eq!((to.checked.corrupt, to.checked.frames), (100, 0));
}

#[test]
fn guests_on_a_thread_are_woken_by_interrupts() {
    let machine = Machine::new(Options { echo: true, itr: Some(20), ..Options::default() });
    // Buffers are posted before anything is sent: a frame that finds none is lost, and its request with it.
    machine.settle();
    machine.nic.start().unwrap();
    machine.send(load(Traffic::Request { depth: 4, timeout: 1 << 40 }, 5000));
    for _ in 0..100 {
        assert_eq!(machine.guests.run(std::time::Duration::from_millis(100)).unwrap(), []);
        if results(&machine, 0).done[0] {
            break;
        }
    }
    machine.nic.stop();
    let (from, to) = (results(&machine, 0), results(&machine, 1));
    assert_clean(&to.checked, 5000);
    assert_clean(&from.checked, 5000);
    assert!(from.rings.interrupts > 0);
}

#[test]
fn a_stop_from_another_thread_ends_a_run() {
    let machine = Machine::new(Options::default());
    machine.settle();
    std::thread::scope(|scope| {
        let run = scope.spawn(|| machine.guests.run(std::time::Duration::from_secs(3600)));
        while !run.is_finished() {
            machine.guests.stop();
            std::thread::yield_now();
        }
        assert_eq!(run.join().unwrap().unwrap(), []);
    });
}

#[test]
fn pages_that_are_not_in_ept_stop_the_guest_until_the_host_maps_them() {
    let mut machine = Machine::new(Options { lazy: true, echo: true, ..Options::default() });
    machine.send(load(Traffic::Request { depth: 4, timeout: 1 << 40 }, 1000));
    let (mut exits, mut idle) = (0, 0);
    while idle < 3 {
        let turn = machine.turn();
        idle = if turn.worked { 0 } else { idle + 1 };
        for parked in turn.parked {
            let Exit::Fault { fault: Fault::EptViolation { gpa, .. }, value: None } = parked.exit
            else {
                panic!("{parked:?}")
            };
            machine.map(parked.guest as usize, gpa.0);
            machine.guests.resume(parked.guest, false).unwrap();
            exits += 1;
            idle = 0;
        }
    }
    assert!(exits > 500, "{exits} exits");
    assert_clean(&results(&machine, 0).checked, 1000);
    assert_clean(&results(&machine, 1).checked, 1000);
}

#[test]
fn what_the_driver_writes_is_dirty_and_logged_and_what_it_reads_is_not() {
    let mut machine = Machine::new(Options { pml: true, ..Options::default() });
    machine.send(load(Traffic::Generate, 2000));
    let (mut logged, mut idle) = (0, 0);
    while idle < 3 {
        let turn = machine.turn();
        idle = if turn.worked { 0 } else { idle + 1 };
        for parked in turn.parked {
            assert_eq!(parked.exit, Exit::Fault { fault: Fault::PmlFull, value: None });
            let guest = parked.guest as usize;
            let mut core = machine.cores[guest].lock().unwrap();
            logged += u64::from(core.vm_exit().unwrap().pml.unwrap().logged());
            core.vm_entry(&machine.vmcs[guest]).unwrap();
            drop(core);
            machine.guests.resume(parked.guest, false).unwrap();
            idle = 0;
        }
    }
    assert_clean(&results(&machine, 1).checked, 2000);
    // 2 to a page: the sender's buffers take more pages than the log has entries minus rings.
    let core = machine.cores[0].lock().unwrap().inspect();
    logged += u64::from(core.vmcs.unwrap().pml.unwrap().logged());
    assert!(logged >= 256, "{logged} pages logged");
    assert!(machine.is_dirty(0, common::TX_BUFFERS) && machine.is_dirty(0, common::TX_RING));
    assert!(machine.is_dirty(1, common::RX_RING) && !machine.is_dirty(1, common::RX_BUFFERS));
}

#[test]
fn a_guest_that_somebody_brought_out_waits_to_be_entered() {
    let machine = Machine::new(Options::default());
    machine.send(load(Traffic::Generate, 100));
    let vmcs = machine.cores[0].lock().unwrap().vm_exit().unwrap();
    let turn = machine.turn();
    assert_eq!(turn.parked[0].exit, Exit::NotRunning);
    machine.cores[0].lock().unwrap().vm_entry(&vmcs).unwrap();
    machine.guests.resume(0, false).unwrap();
    machine.settle();
    assert_clean(&results(&machine, 1).checked, 100);
}

#[test]
fn a_register_behind_no_page_is_written_by_the_host() {
    let mut machine = Machine::new(Options::default());
    let dyn_ctl = DIRECT + (1 << 32) + 2 * 4096;
    machine.unmap_register(0, 2);
    let turn = machine.turn();
    let Exit::Fault { fault: Fault::EptViolation { gva, .. }, value: Some(value) } =
        turn.parked[0].exit
    else {
        panic!("{turn:?}")
    };
    assert_eq!((gva.0, value & 1), (dyn_ctl, 1));
    machine.nic.bar_write(0, 0x0300_0000, &value.to_le_bytes());
    machine.guests.resume(0, true).unwrap();
    machine.map_register(0, 2);
    machine.send(load(Traffic::Generate, 100));
    machine.settle();
    // Without the vector nothing would have told the guest that its frames are sent.
    assert_eq!(results(&machine, 0).rings.tx_done, 100);
}

#[test]
fn a_guest_that_was_taken_out_is_not_driven_any_more() {
    let machine = Machine::new(Options::default());
    machine.send(load(Traffic::Generate, 100));
    let guest = machine.guests.remove(0).unwrap();
    machine.settle();
    assert_eq!(guest.results().senders[0].frames, 0);
    let error = machine.guests.with(0, |_| ()).unwrap_err();
    assert_eq!(error.to_string(), "there is no guest 0 in this loop");
}
