//! From a transmit queue's descriptors to the switch.

use siov_packet::{Offload, Parsed, Scratch, Tag, offload, parse, segment, verify};
use siov_port::capture::Direction;
use siov_switch::{Class, DropReason, Header, Override, Targets, VsiId};

use crate::causes::Line;
use crate::malicious::Malice;
use crate::ports::WayOut;
use crate::receive::{Batch, Frame, Receive};
use crate::tap::Point;
use crate::tx::{Ask, Packet, TxQueue};
use crate::vsi::Vsi;

/// Room for what a worker makes of descriptors.
#[derive(Debug, Default)]
pub(crate) struct Workbench {
    pub bytes: Vec<u8>,
    pub descriptors: Vec<[u64; 2]>,
    pub frame: Vec<u8>,
    scratch: Scratch,
    padded: Vec<u8>,
}

/// Frames through the switch.
#[derive(Debug)]
pub(crate) struct Forward {
    pub receive: Receive,
    targets: Targets,
    /// Frames and copies since it was asked last.
    work: usize,
}

impl Forward {
    /// With this worker's receive queues.
    pub fn new(receive: Receive) -> Self {
        Self { receive, targets: Targets::new(), work: 0 }
    }

    /// How many frames and copies were made since the last call.
    pub fn take_work(&mut self) -> usize {
        std::mem::take(&mut self.work)
    }

    /// A finished frame of a VSI.
    pub fn transmit(
        &mut self,
        batch: &mut Batch<'_, '_>,
        way: &mut WayOut<'_>,
        from: VsiId,
        over: Override,
        bytes: &[u8],
    ) {
        let parsed = parse(bytes);
        let Some(header) = header(bytes, &parsed) else {
            unsent(batch, from, bytes, RUNT);
            return batch.stats.send_error(from.index());
        };
        let class = Class::of(&header.dst);
        batch.tables.switch.transmit(from, &header, over, &mut self.targets);
        self.work += 1;
        let dropped = self.targets.dropped();
        if let Some(reason) = dropped {
            batch.stats.dropped(reason);
            if is_the_senders(reason) {
                unsent(batch, from, bytes, reason.name());
                return batch.stats.send_error(from.index());
            }
        }
        let why = dropped.map(DropReason::name);
        batch.passed(Point::Vsi(from), Direction::Outbound, bytes, why);
        batch.stats.sent(from.index(), class, bytes.len());
        batch.outcome.line.sent += Line::of(bytes.len());
        self.copies(batch, bytes, &parsed, class, true);
        if let Some(port) = self.targets.port() {
            self.leave(batch, way, port, class, bytes);
        }
    }

    /// A frame goes out at a port; one whose link is down loses it (GLPRT_TDOLD).
    fn leave(
        &mut self,
        batch: &mut Batch<'_, '_>,
        way: &mut WayOut<'_>,
        port: u8,
        class: Class,
        bytes: &[u8],
    ) {
        let state = batch.tables.port(port);
        let gone = state.up && (state.loopback || way.send(port, bytes));
        if !gone {
            batch.missed(Point::Port(port), Direction::Outbound, bytes, LINK_DOWN);
            return batch.stats.port_down(port);
        }
        batch.passed(Point::Port(port), Direction::Outbound, bytes, None);
        batch.stats.port_sent(port, class, bytes.len());
        if state.loopback {
            self.arrive(batch, port, bytes);
        }
    }

    /// A frame that came in at a port.
    pub fn arrive(&mut self, batch: &mut Batch<'_, '_>, port: u8, bytes: &[u8]) {
        let state = batch.tables.port(port);
        let parsed = parse(bytes);
        let (point, inbound) = (Point::Port(port), Direction::Inbound);
        let Some(header) = header(bytes, &parsed) else {
            batch.missed(point, inbound, bytes, RUNT);
            return batch.stats.port_runt(port);
        };
        if !state.up {
            batch.missed(point, inbound, bytes, LINK_DOWN);
            return batch.stats.port_deaf(port);
        }
        let class = Class::of(&header.dst);
        batch.outcome.line.received += Line::of(bytes.len());
        if !batch.stats.port_received(port, class, bytes.len(), state.max_frame.into()) {
            return batch.missed(point, inbound, bytes, "it is longer than the port takes");
        }
        batch.tables.switch.receive(port, &header, &mut self.targets);
        let dropped = self.targets.dropped();
        batch.passed(point, inbound, bytes, dropped.map(DropReason::name));
        if let Some(reason) = dropped {
            return batch.stats.dropped(reason);
        }
        self.copies(batch, bytes, &parsed, class, false);
    }

    /// A copy for each VSI that the switch has chosen.
    fn copies(
        &mut self,
        batch: &mut Batch<'_, '_>,
        bytes: &[u8],
        parsed: &Parsed,
        class: Class,
        loopback: bool,
    ) {
        let vsis = self.targets.vsis();
        if vsis.is_empty() {
            return;
        }
        let frame = Frame { bytes, parsed, checks: verify(bytes, parsed), class, loopback };
        let queue = self.targets.queue();
        for vsi in vsis.iter() {
            self.work += 1;
            self.receive.deliver(batch, vsi, queue, frame);
        }
    }
}

/// Whether a drop is an error of who sent the frame (GLV_TEPC), not just a frame that nobody wants.
fn is_the_senders(reason: DropReason) -> bool {
    matches!(
        reason,
        DropReason::NoSource
            | DropReason::AntiSpoof
            | DropReason::TxVlanPrune
            | DropReason::Override
            | DropReason::LanDisabled
    )
}

/// Collects a packet's buffers into the workbench.
pub(crate) fn gather(
    batch: &mut Batch<'_, '_>,
    queue: &TxQueue,
    packet: &Packet,
    data: &[[u64; 2]],
    frame: &mut Vec<u8>,
) -> Result<(), Malice> {
    frame.clear();
    for [address, q1] in data.get(packet.head..packet.count).unwrap_or_default() {
        let start = frame.len();
        let size = siov_spec::e810::TxDataQw1(*q1).TX_BUF_SZ();
        frame.resize(start + usize::from(size), 0);
        let to = frame.get_mut(start..).unwrap_or_default();
        batch.dma.read(queue.pasid, siov_bus::Iova(*address), to)?;
    }
    Ok(())
}

/// Does what the descriptors ask, and sends what comes of it.
pub(crate) fn send(
    forward: &mut Forward,
    batch: &mut Batch<'_, '_>,
    way: &mut WayOut<'_>,
    queue: &TxQueue,
    ask: &Ask,
    bench: &mut Workbench,
) -> Result<(), Malice> {
    let Some(vsi) = batch.tables.vsi(queue.vsi) else { return Ok(()) };
    let Some(offloads) = tagged(vsi, batch.tables.double_vlan, ask) else {
        unsent(batch, queue.vsi, &bench.frame, "the VSI may not insert tags");
        batch.stats.send_error(queue.vsi.index());
        return Ok(());
    };
    let allowed = |frame: &[u8]| may_send(vsi, ask, frame);
    if offloads.tso.is_some() {
        if !queue.tso {
            return Err(Malice::SegmentationOff);
        }
        if !allowed(&bench.frame) {
            unsent(batch, queue.vsi, &bench.frame, TAGGING);
            batch.stats.send_error(queue.vsi.index());
            return Ok(());
        }
        let Workbench { frame, scratch, padded, .. } = bench;
        segment(frame, &offloads, scratch, |one| {
            let finished = if one.len() < MIN_FRAME {
                padded.clear();
                padded.extend_from_slice(one);
                pad(padded);
                padded.as_slice()
            } else {
                one
            };
            forward.transmit(batch, way, queue.vsi, ask.over, finished);
        })?;
        return Ok(());
    }
    let allowed = allowed(&bench.frame);
    offload(&mut bench.frame, &offloads)?;
    pad(&mut bench.frame);
    if allowed {
        forward.transmit(batch, way, queue.vsi, ask.over, &bench.frame);
    } else {
        unsent(batch, queue.vsi, &bench.frame, TAGGING);
        batch.stats.send_error(queue.vsi.index());
    }
    Ok(())
}

/// Why frames don't pass.
const RUNT: &str = "it is shorter than an Ethernet header";
const LINK_DOWN: &str = "the link is down";
const TAGGING: &str = "the VSI may not send frames tagged, or untagged, like this";

/// A VSI was not allowed to send a frame.
fn unsent(batch: &Batch<'_, '_>, vsi: VsiId, frame: &[u8], why: &'static str) {
    batch.missed(Point::Vsi(vsi), Direction::Outbound, frame, why);
}

/// Bytes that a frame has at least, without its check sequence.
const MIN_FRAME: usize = 60;

/// Fills a short frame up with zeros.
fn pad(frame: &mut Vec<u8>) {
    if frame.len() < MIN_FRAME {
        frame.resize(MIN_FRAME, 0);
    }
}

/// The offloads with the tags that are inserted; `None` when the VSI may not insert them.
fn tagged(vsi: &Vsi, double: bool, ask: &Ask) -> Option<Offload> {
    let mut offload = ask.offload;
    if vsi.vlan.block_descriptor && (ask.l2tag1.is_some() || ask.l2tag2.is_some()) {
        return None;
    }
    let outer_tpid = if double && vsi.vlan.outer_tpid != 0 { vsi.vlan.outer_tpid } else { C_TAG };
    offload.l2tag1 = ask.l2tag1.map(|tci| Tag { tpid: C_TAG, tci });
    offload.l2tag2 = ask.l2tag2.map(|tci| Tag { tpid: outer_tpid, tci });
    if let Some(tci) = vsi.vlan.port_tag {
        let tpid = if vsi.vlan.port_tag_outer { outer_tpid } else { C_TAG };
        offload.l2tag2 = Some(Tag { tpid, tci });
    }
    Some(offload)
}

/// Whether the VSI may send tagged, or untagged, packets as this one comes from its driver.
fn may_send(vsi: &Vsi, ask: &Ask, frame: &[u8]) -> bool {
    let ethertype = frame.get(12..14).and_then(|bytes| bytes.first_chunk::<2>());
    let in_frame = ethertype.is_some_and(|bytes| siov_packet::is_tpid(u16::from_be_bytes(*bytes)));
    let tagged = in_frame || ask.l2tag1.is_some() || ask.l2tag2.is_some();
    if tagged { vsi.vlan.send_tagged } else { vsi.vlan.send_untagged }
}

/// What the switch looks at; `None` for less than an Ethernet header.
fn header(bytes: &[u8], parsed: &siov_packet::Parsed) -> Option<Header> {
    let dst = *bytes.first_chunk::<6>()?;
    let src = *bytes.get(6..)?.first_chunk::<6>()?;
    bytes.get(12..14)?;
    let tag = parsed.tags().first();
    Some(Header {
        dst,
        src,
        vid: tag.map(|tag| tag.vid()),
        pcp: tag.map_or(0, |tag| tag.pcp()),
        ethertype: parsed.outer.ethertype,
    })
}

/// The kind of tag that stands next to the payload.
const C_TAG: u16 = 0x8100;
