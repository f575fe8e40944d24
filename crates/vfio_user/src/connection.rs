//! One client, from its first message to its last.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::io::Errno;

use crate::counters::{Counting, count};
use crate::request::{RegionAccess, Request, WriteMulti};
use crate::stream::{End, Message, Stream};
use crate::version::negotiate;
use crate::wire::{
    CAP_SPARSE_MMAP, Command, DEVICE_PCI, DEVICE_RESET, HEADER_SIZE, Header, IRQ_AUTOMASKED,
    IRQ_EVENTFD, IRQ_MASKABLE, IRQ_NORESIZE, REGION_CAPS, REGION_INFO_SIZE, REGION_MMAP,
    REGION_READ, REGION_WRITE, Type,
};
use crate::{Client, Device, DeviceLayout, Limits, RegionLayout};

pub(crate) struct Connection<'a> {
    pub(crate) device: &'a dyn Device,
    /// As the device has it for this client.
    pub(crate) layout: DeviceLayout,
    pub(crate) limits: &'a Limits,
    pub(crate) counting: &'a Counting,
    pub(crate) client: &'a Arc<Client>,
    /// Header and body of the reply, used again for the next.
    pub(crate) reply: Vec<u8>,
}

impl<'a> Connection<'a> {
    /// Serves until the client goes; then nothing of it is left, and the device knows.
    pub(crate) fn serve(&mut self, mut stream: Stream) {
        let end = loop {
            match stream.next() {
                Ok(message) => {
                    if self.message(message).is_err() {
                        break End::Closed;
                    }
                }
                Err(end) => break end,
            }
        };
        if end == End::Lost {
            count(&self.counting.lost_streams);
        }
        if self.client.socket().stalled() {
            count(&self.counting.stalled);
        }
    }

    /// Handles one message; `Err` if the reply could not be sent.
    fn message(&mut self, message: Message<'_>) -> Result<(), Errno> {
        let Message { header, body, fds } = message;
        match header.message_type() {
            Type::Reply => {
                if !self.client.dma().reply(&header, body) {
                    count(&self.counting.stray_replies);
                }
                return Ok(());
            }
            Type::Command => self.counting.command(header.command),
            Type::Unknown => {}
        }
        self.reply.clear();
        self.reply.resize(HEADER_SIZE, 0);
        let answer = fds.and_then(|fds| self.command(&header, body, fds));
        if answer.is_err() {
            count(&self.counting.errors);
        }
        if header.no_reply() {
            return Ok(());
        }
        let (reply, fd) = match answer {
            Ok(fd) => (header.reply(u32::try_from(self.reply.len()).unwrap_or(u32::MAX)), fd),
            Err(errno) => {
                self.reply.truncate(HEADER_SIZE);
                (header.reply_error(errno), None)
            }
        };
        if let Some(front) = self.reply.first_chunk_mut() {
            *front = reply.encode();
        }
        self.client.socket().send(&self.reply, &[], fd.as_ref().map(AsFd::as_fd))
    }

    /// Does what a command says, and leaves the body of its reply behind the room for the header.
    fn command(
        &mut self,
        header: &Header,
        body: &[u8],
        fds: Vec<OwnedFd>,
    ) -> Result<Option<Arc<OwnedFd>>, Errno> {
        if header.message_type() != Type::Command {
            return Err(Errno::INVAL);
        }
        let takes = match Command::from_wire(header.command) {
            Some(Command::DmaMap) => 1,
            Some(Command::SetIrqs) => fds.len(),
            _ => 0,
        };
        if fds.len() > takes {
            return Err(Errno::INVAL);
        }
        let request = Request::parse(header.command, body)?;
        if self.client.is_attached() == matches!(request, Request::Version(..)) {
            return Err(Errno::INVAL);
        }
        match request {
            Request::Version(major, _, data) => self.version(major, data)?,
            Request::DmaMap(map) => {
                self.client.dma().map(map, fds.first().map(AsFd::as_fd), self.device)?;
            }
            Request::DmaUnmap(unmap) => {
                self.client.dma().unmap(unmap, self.device)?;
                self.reply.extend(body);
            }
            Request::GetInfo => self.get_info(),
            Request::GetRegionInfo(room, index) => return self.get_region_info(room, index),
            Request::GetRegionIoFds(index) => {
                self.region(index)?;
                self.words(&[16, 0, index, 0]);
            }
            Request::GetIrqInfo(index) => self.get_irq_info(index)?,
            Request::SetIrqs(set) => self.client.irqs().set(&set, fds, self.device)?,
            Request::RegionRead(access) => self.region_read(access)?,
            Request::RegionWrite(access, data) => {
                self.region_write(access, data)?;
                self.access(access);
            }
            Request::WriteMulti(multi) => self.write_multi(multi)?,
            Request::Reset => {
                self.device.reset();
                self.client.irqs().reset();
            }
        }
        Ok(None)
    }

    fn version(&mut self, major: u16, data: &[u8]) -> Result<(), Errno> {
        let version = negotiate(major, data, self.limits.max_dma_maps)?;
        self.reply.extend(version.major.to_ne_bytes());
        self.reply.extend(version.minor.to_ne_bytes());
        self.reply.extend(version.reply_data(data.len()));
        self.client.agree(version);
        self.device.attached(Arc::clone(self.client))?;
        self.client.set_attached();
        let layout = self.device.layout();
        layout.check().map_err(|_| Errno::INVAL)?;
        self.layout = layout;
        Ok(())
    }

    fn get_info(&mut self) {
        let regions = u32::try_from(self.layout.regions.len()).unwrap_or(0);
        let irqs = u32::try_from(self.layout.irqs.len()).unwrap_or(0);
        self.words(&[16, DEVICE_RESET | DEVICE_PCI, regions, irqs]);
    }

    /// The capability with the parts to map, and the file, come only if the client has room for
    /// them: it asks again with as much room as the first reply says.
    fn get_region_info(&mut self, room: u32, index: u32) -> Result<Option<Arc<OwnedFd>>, Errno> {
        let region = self.region(index)?.clone();
        let mmap = region.mmap.as_ref();
        let areas = mmap.map(|mmap| mmap.areas.as_slice()).unwrap_or_default();
        let mut flags = 0;
        for (on, flag) in [
            (region.readable && region.size > 0, REGION_READ),
            (region.writable && region.size > 0, REGION_WRITE),
            (mmap.is_some(), REGION_MMAP),
            (!areas.is_empty(), REGION_CAPS),
        ] {
            flags |= if on { flag } else { 0 };
        }
        let cap_offset = if areas.is_empty() { 0 } else { REGION_INFO_SIZE };
        let caps = if areas.is_empty() { 0 } else { 16 + 16 * areas.len() };
        let needed = u32::try_from(caps).map_or(u32::MAX, |caps| caps + REGION_INFO_SIZE);
        self.words(&[needed, flags, index, cap_offset]);
        self.reply.extend(region.size.to_ne_bytes());
        self.reply.extend(mmap.map_or(0, |mmap| mmap.offset).to_ne_bytes());
        if room < needed {
            return Ok(None);
        }
        if !areas.is_empty() {
            self.reply.extend(CAP_SPARSE_MMAP.to_ne_bytes());
            self.reply.extend(1u16.to_ne_bytes());
            self.words(&[0, u32::try_from(areas.len()).unwrap_or(0), 0]);
        }
        for area in areas {
            self.reply.extend(area.offset.to_ne_bytes());
            self.reply.extend(area.size.to_ne_bytes());
        }
        Ok(mmap.map(|mmap| Arc::clone(&mmap.fd)))
    }

    fn get_irq_info(&mut self, index: u32) -> Result<(), Errno> {
        let irq = self.client.irqs().layout(index).ok_or(Errno::INVAL)?;
        let mut flags = 0;
        for (on, flag) in [
            (true, IRQ_EVENTFD),
            (irq.maskable, IRQ_MASKABLE),
            (irq.automasked, IRQ_AUTOMASKED),
            (irq.noresize, IRQ_NORESIZE),
        ] {
            flags |= if on && irq.count > 0 { flag } else { 0 };
        }
        self.words(&[16, flags, index, irq.count]);
        Ok(())
    }

    fn region_read(&mut self, access: RegionAccess) -> Result<(), Errno> {
        self.check(access, |region| region.readable)?;
        self.access(access);
        let data = self.reply.len();
        self.reply.resize(data + access.count as usize, 0);
        match self.reply.get_mut(data..) {
            Some(data) if !data.is_empty() => self.device.read(access.region, access.offset, data),
            _ => Ok(()),
        }
    }

    fn region_write(&self, access: RegionAccess, data: &[u8]) -> Result<(), Errno> {
        self.check(access, |region| region.writable)?;
        if data.is_empty() {
            return Ok(());
        }
        self.device.write(access.region, access.offset, data)
    }

    /// The writes up to the first that fails; an error only if that is the very first.
    fn write_multi(&mut self, multi: WriteMulti<'_>) -> Result<(), Errno> {
        let mut done = 0u64;
        for (access, data) in multi.writes() {
            match self.region_write(access, data) {
                Ok(()) => done += 1,
                Err(errno) if done == 0 => return Err(errno),
                Err(_) => {
                    count(&self.counting.errors);
                    break;
                }
            }
        }
        self.reply.extend(done.to_ne_bytes());
        Ok(())
    }

    fn region(&self, index: u32) -> Result<&RegionLayout, Errno> {
        let region = usize::try_from(index).ok().and_then(|i| self.layout.regions.get(i));
        region.ok_or(Errno::INVAL)
    }

    fn check(
        &self,
        access: RegionAccess,
        allowed: impl FnOnce(&RegionLayout) -> bool,
    ) -> Result<(), Errno> {
        let region = self.region(access.region)?;
        let end = access.offset.checked_add(access.count.into());
        let inside = end.is_some_and(|end| end <= region.size);
        if inside && allowed(region) { Ok(()) } else { Err(Errno::INVAL) }
    }

    fn access(&mut self, access: RegionAccess) {
        self.reply.extend(access.offset.to_ne_bytes());
        self.words(&[access.region, access.count]);
    }

    fn words(&mut self, words: &[u32]) {
        self.reply.extend(words.iter().flat_map(|word| word.to_ne_bytes()));
    }
}
