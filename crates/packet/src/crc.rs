//! CRC32c, the checksum of SCTP (RFC 9260 appendix A).

const POLYNOMIAL: u32 = 0x82F6_3B78;

/// `TABLES[n][b]`: what byte `b` does to the remainder `n` bytes later.
static TABLES: [[u32; 256]; 8] = tables();

#[expect(clippy::indexing_slicing, reason = "runs in the compiler, which would tell")]
const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = (crc >> 1) ^ if crc & 1 == 1 { POLYNOMIAL } else { 0 };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut later = 1;
    while later < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[later - 1][byte];
            tables[later][byte] = (before >> 8) ^ tables[0][(before & 0xFF) as usize];
            byte += 1;
        }
        later += 1;
    }
    tables
}

/// A remainder that bytes are fed into.
#[derive(Clone, Copy)]
pub(crate) struct Crc32c(u32);

impl Crc32c {
    pub(crate) fn new() -> Self {
        Self(!0)
    }

    pub(crate) fn add(self, bytes: &[u8]) -> Self {
        let [t0, t1, t2, t3, t4, t5, t6, t7] = &TABLES;
        let of = |table: &[u32; 256], byte: u8| table.get(usize::from(byte)).copied().unwrap_or(0);
        let mut crc = self.0;
        let (blocks, rest) = bytes.as_chunks::<8>();
        for [a, b, c, d, e, f, g, h] in blocks {
            let [w, x, y, z] = (crc ^ u32::from_le_bytes([*a, *b, *c, *d])).to_le_bytes();
            crc = of(t7, w) ^ of(t6, x) ^ of(t5, y) ^ of(t4, z);
            crc ^= of(t3, *e) ^ of(t2, *f) ^ of(t1, *g) ^ of(t0, *h);
        }
        for byte in rest {
            crc = (crc >> 8) ^ of(t0, (crc as u8) ^ byte);
        }
        Self(crc)
    }

    /// The checksum, in the byte order in which SCTP sends it.
    pub(crate) fn finish(self) -> [u8; 4] {
        (!self.0).to_le_bytes()
    }
}

/// The checksum of an SCTP packet, whose own field counts as zero.
pub(crate) fn sctp(packet: &[u8]) -> Option<[u8; 4]> {
    let (head, body) = (packet.get(..8)?, packet.get(12..)?);
    Some(Crc32c::new().add(head).add(&[0; 4]).add(body).finish())
}
