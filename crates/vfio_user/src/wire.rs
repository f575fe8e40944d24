//! Numbers and layouts of the wire. Everything is in the byte order of the host.

/// Bytes of the header that every message begins with.
pub const HEADER_SIZE: usize = 16;

/// The most bytes of data in one message that we take and ask for, as QEMU does.
pub(crate) const MAX_DATA_XFER_SIZE: u32 = 1 << 20;
/// The most file descriptors that we take with one message, as QEMU does.
pub(crate) const MAX_MSG_FDS: usize = 16;
/// The longest message that we take: an access with its 16 bytes of address and count.
pub(crate) const MAX_MESSAGE: usize = HEADER_SIZE + 16 + MAX_DATA_XFER_SIZE as usize;

const TYPE_MASK: u32 = 0xf;
const TYPE_REPLY: u32 = 1;
const NO_REPLY: u32 = 1 << 4;
const ERROR: u32 = 1 << 5;

pub(crate) const DMA_MAP_READ: u32 = 1 << 0;
pub(crate) const DMA_MAP_WRITE: u32 = 1 << 1;
pub(crate) const DMA_UNMAP_GET_DIRTY_BITMAP: u32 = 1 << 0;
pub(crate) const DMA_UNMAP_ALL: u32 = 1 << 1;

pub(crate) const DEVICE_RESET: u32 = 1 << 0;
pub(crate) const DEVICE_PCI: u32 = 1 << 1;

pub(crate) const REGION_READ: u32 = 1 << 0;
pub(crate) const REGION_WRITE: u32 = 1 << 1;
pub(crate) const REGION_MMAP: u32 = 1 << 2;
pub(crate) const REGION_CAPS: u32 = 1 << 3;
pub(crate) const REGION_INFO_SIZE: u32 = 32;
pub(crate) const CAP_SPARSE_MMAP: u16 = 1;

pub(crate) const IRQ_EVENTFD: u32 = 1 << 0;
pub(crate) const IRQ_MASKABLE: u32 = 1 << 1;
pub(crate) const IRQ_AUTOMASKED: u32 = 1 << 2;
pub(crate) const IRQ_NORESIZE: u32 = 1 << 3;

/// Bytes of one write in a `REGION_WRITE_MULTI`.
pub(crate) const WRITE_MULTI_ENTRY: usize = 24;

macro_rules! commands {
    ($($name:ident = $code:literal $text:literal,)*) => {
        /// The commands of the protocol, by their number on the wire.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u16)]
        pub enum Command {
            $(#[doc = concat!("`VFIO_USER_", $text, "`.")] $name = $code,)*
        }

        impl Command {
            /// Every command, by ascending number.
            pub const ALL: &'static [Command] = &[$(Command::$name,)*];

            /// The command with this number.
            pub const fn from_wire(code: u16) -> Option<Command> {
                match code {
                    $($code => Some(Command::$name),)*
                    _ => None,
                }
            }

            /// Its name in the specification, without the prefix.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Command::$name => $text,)*
                }
            }
        }
    };
}

commands! {
    Version = 1 "VERSION",
    DmaMap = 2 "DMA_MAP",
    DmaUnmap = 3 "DMA_UNMAP",
    GetInfo = 4 "DEVICE_GET_INFO",
    GetRegionInfo = 5 "DEVICE_GET_REGION_INFO",
    GetRegionIoFds = 6 "DEVICE_GET_REGION_IO_FDS",
    GetIrqInfo = 7 "DEVICE_GET_IRQ_INFO",
    SetIrqs = 8 "DEVICE_SET_IRQS",
    RegionRead = 9 "REGION_READ",
    RegionWrite = 10 "REGION_WRITE",
    DmaRead = 11 "DMA_READ",
    DmaWrite = 12 "DMA_WRITE",
    Reset = 13 "DEVICE_RESET",
    DirtyPages = 14 "DIRTY_PAGES",
    WriteMulti = 15 "REGION_WRITE_MULTI",
    DeviceFeature = 16 "DEVICE_FEATURE",
    MigDataRead = 17 "MIG_DATA_READ",
    MigDataWrite = 18 "MIG_DATA_WRITE",
}

/// The 16 bytes that every message begins with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Chosen by whoever sent the command, repeated in the reply.
    pub id: u16,
    /// Number of the command; see [`Command`].
    pub command: u16,
    /// Bytes of the whole message.
    pub size: u32,
    /// Type in bits 0 to 3, no reply in bit 4, error in bit 5.
    pub flags: u32,
    /// Errno of a reply with the error bit.
    pub error: u32,
}

/// Whether a message asks or answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Command,
    Reply,
    Unknown,
}

impl Header {
    /// The header in the first 16 of `bytes`, if they are that many.
    pub fn parse(bytes: &[u8]) -> Option<Header> {
        let mut fields = Fields(bytes.get(..HEADER_SIZE)?);
        Some(Header {
            id: fields.u16()?,
            command: fields.u16()?,
            size: fields.u32()?,
            flags: fields.u32()?,
            error: fields.u32()?,
        })
    }

    /// The header as it goes over the wire.
    pub fn encode(&self) -> [u8; HEADER_SIZE] {
        let mut bytes = [0; HEADER_SIZE];
        let fields = [
            &self.id.to_ne_bytes()[..],
            &self.command.to_ne_bytes(),
            &self.size.to_ne_bytes(),
            &self.flags.to_ne_bytes(),
            &self.error.to_ne_bytes(),
        ];
        for (to, from) in bytes.iter_mut().zip(fields.into_iter().flatten()) {
            *to = *from;
        }
        bytes
    }

    pub(crate) fn message_type(&self) -> Type {
        match self.flags & TYPE_MASK {
            0 => Type::Command,
            TYPE_REPLY => Type::Reply,
            _ => Type::Unknown,
        }
    }

    pub(crate) fn no_reply(&self) -> bool {
        self.flags & NO_REPLY != 0
    }

    pub(crate) fn is_error(&self) -> bool {
        self.flags & ERROR != 0
    }

    /// The header that answers this one, for a message of `size` bytes.
    pub(crate) fn reply(&self, size: u32) -> Header {
        Header { size, flags: TYPE_REPLY, error: 0, ..*self }
    }

    /// The message that answers this one with an errno.
    pub(crate) fn reply_error(&self, errno: rustix::io::Errno) -> Header {
        Header {
            size: HEADER_SIZE as u32,
            flags: TYPE_REPLY | ERROR,
            error: errno.raw_os_error().unsigned_abs(),
            ..*self
        }
    }
}

/// Reads fields off the front of some bytes.
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*field)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_ne_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_ne_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_ne_bytes)
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.0
    }
}
