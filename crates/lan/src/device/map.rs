//! What an offset of BAR 0 is: a plain register, or one of the pages that show a register group by itself.

use siov_spec::Layout;
use siov_spec::e810::{bar0, ims_slot, pages};

use crate::interrupt::{MSIX_VECTORS, Vector};
use crate::mailbox::{Owner, Register as Mbx};

/// One of the registers that a vector has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VectorRegister {
    DynCtl,
    /// Which of the three timers.
    Itr(u32),
    Rate,
}

/// Where a double word of BAR 0 leads, for what is not kept in the register file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The doorbell of a Tx queue.
    TxDoorbell(u32),
    /// The tail of an Rx queue.
    RxTail(u32),
    Vector(Vector, VectorRegister),
    /// A register of a mailbox.
    Mailbox(Owner, Mbx),
    /// Interrupt message storage, by the offset in it.
    Ims(u64),
    /// Any other register, or none.
    Plain,
    /// Storage that this device lacks.
    Nothing,
}

/// The registers of BAR 0 and their copies in pages.
#[derive(Debug)]
pub(crate) struct Map {
    plain: Layout,
    pages: Layout,
    ims: u32,
}

impl Map {
    /// The map of a device with so many slots of interrupt message storage.
    pub fn new(ims: u32) -> Self {
        Self { plain: Layout::of(&bar0::BLOCK), pages: Layout::of(&pages::BLOCK), ims }
    }

    /// What the double word at `offset` is.
    pub fn place(&self, offset: u32) -> Place {
        if let Some((id, index)) = self.pages.find(offset) {
            return self.page(pages::Reg::from_id(id), index);
        }
        let Some((id, index)) = self.plain.find(offset) else { return Place::Plain };
        let msix = |register| Place::Vector(Vector(index), register);
        match bar0::Reg::from_id(id) {
            Some(bar0::Reg::QTX_COMM_DBELL) => Place::TxDoorbell(index),
            Some(bar0::Reg::QRX_TAIL) => Place::RxTail(index),
            Some(bar0::Reg::GLINT_DYN_CTL) => msix(VectorRegister::DynCtl),
            Some(bar0::Reg::GLINT_RATE) => msix(VectorRegister::Rate),
            Some(bar0::Reg::GLINT_ITR) => {
                let (timer, vector) = (index / MSIX_VECTORS, index % MSIX_VECTORS);
                Place::Vector(Vector(vector), VectorRegister::Itr(timer))
            }
            Some(bar0::Reg::IMS_INT_DYN_CTL) => self.slot(index, VectorRegister::DynCtl),
            Some(bar0::Reg::IMS_INT_ITR0) => self.slot(index, VectorRegister::Itr(0)),
            Some(bar0::Reg::IMS_INT_ITR1) => self.slot(index, VectorRegister::Itr(1)),
            Some(bar0::Reg::IMS_INT_ITR2) => self.slot(index, VectorRegister::Itr(2)),
            Some(bar0::Reg::IMS_RATE) => self.slot(index, VectorRegister::Rate),
            Some(
                bar0::Reg::IMS_ADDRESS_LO
                | bar0::Reg::IMS_ADDRESS_HI
                | bar0::Reg::IMS_DATA
                | bar0::Reg::IMS_CONTROL,
            ) if index < self.ims => {
                Place::Ims((index * ims_slot::SIZE + offset % ims_slot::SIZE).into())
            }
            Some(
                bar0::Reg::IMS_ADDRESS_LO
                | bar0::Reg::IMS_ADDRESS_HI
                | bar0::Reg::IMS_DATA
                | bar0::Reg::IMS_CONTROL,
            ) => Place::Nothing,
            Some(register) => mailbox(register, index),
            None => Place::Plain,
        }
    }

    /// The register at an offset, by id and element.
    pub fn register(&self, offset: u32) -> Option<(u16, u32)> {
        self.plain.find(offset)
    }

    fn page(&self, register: Option<pages::Reg>, index: u32) -> Place {
        let msix = |register| Place::Vector(Vector(index), register);
        match register {
            Some(pages::Reg::QTX_COMM_DBELL_PAGE) => Place::TxDoorbell(index),
            Some(pages::Reg::QRX_TAIL_PAGE) => Place::RxTail(index),
            Some(pages::Reg::INT_DYN_CTL) => msix(VectorRegister::DynCtl),
            Some(pages::Reg::INT_ITR0) => msix(VectorRegister::Itr(0)),
            Some(pages::Reg::INT_ITR1) => msix(VectorRegister::Itr(1)),
            Some(pages::Reg::INT_ITR2) => msix(VectorRegister::Itr(2)),
            None => Place::Plain,
        }
    }

    fn slot(&self, slot: u32, register: VectorRegister) -> Place {
        match Vector::ims(slot).filter(|_| slot < self.ims) {
            Some(vector) => Place::Vector(vector, register),
            None => Place::Nothing,
        }
    }
}

/// The mailbox register that a register of BAR 0 is; `Plain` when it is none.
pub(super) fn mailbox(register: bar0::Reg, index: u32) -> Place {
    let vsi = |register| match u16::try_from(index) {
        Ok(vsi) => Place::Mailbox(Owner::Vsi(vsi), register),
        Err(_) => Place::Plain,
    };
    let pf = |register| Place::Mailbox(Owner::Pf, register);
    match register {
        bar0::Reg::VSI_MBX_ATQBAL => vsi(Mbx::ATQBAL),
        bar0::Reg::VSI_MBX_ATQBAH => vsi(Mbx::ATQBAH),
        bar0::Reg::VSI_MBX_ATQLEN => vsi(Mbx::ATQLEN),
        bar0::Reg::VSI_MBX_ATQH => vsi(Mbx::ATQH),
        bar0::Reg::VSI_MBX_ATQT => vsi(Mbx::ATQT),
        bar0::Reg::VSI_MBX_ARQBAL => vsi(Mbx::ARQBAL),
        bar0::Reg::VSI_MBX_ARQBAH => vsi(Mbx::ARQBAH),
        bar0::Reg::VSI_MBX_ARQLEN => vsi(Mbx::ARQLEN),
        bar0::Reg::VSI_MBX_ARQH => vsi(Mbx::ARQH),
        bar0::Reg::VSI_MBX_ARQT => vsi(Mbx::ARQT),
        bar0::Reg::PF_MBX_ATQBAL => pf(Mbx::ATQBAL),
        bar0::Reg::PF_MBX_ATQBAH => pf(Mbx::ATQBAH),
        bar0::Reg::PF_MBX_ATQLEN => pf(Mbx::ATQLEN),
        bar0::Reg::PF_MBX_ATQH => pf(Mbx::ATQH),
        bar0::Reg::PF_MBX_ATQT => pf(Mbx::ATQT),
        bar0::Reg::PF_MBX_ARQBAL => pf(Mbx::ARQBAL),
        bar0::Reg::PF_MBX_ARQBAH => pf(Mbx::ARQBAH),
        bar0::Reg::PF_MBX_ARQLEN => pf(Mbx::ARQLEN),
        bar0::Reg::PF_MBX_ARQH => pf(Mbx::ARQH),
        bar0::Reg::PF_MBX_ARQT => pf(Mbx::ARQT),
        _ => Place::Plain,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that finds nothing fails")]
mod tests {
    use super::*;

    #[test]
    fn a_page_and_its_plain_register_are_the_same_place() {
        let map = Map::new(0);
        let vector = |v, register| Place::Vector(Vector(v), register);
        let pairs = [
            (0x0400_0000 + 4096 * 16383, 0x002C_0000 + 4 * 16383, Place::TxDoorbell(16383)),
            (0x0380_0000 + 4096 * 2047, 0x0029_0000 + 4 * 2047, Place::RxTail(2047)),
            (
                0x0300_0000 + 4096 * 2047,
                0x0016_0000 + 4 * 2047,
                vector(2047, VectorRegister::DynCtl),
            ),
            (
                0x0300_0000 + 4096 * 5 + 0xC,
                0x0015_4000 + 2 * 8192 + 4 * 5,
                vector(5, VectorRegister::Itr(2)),
            ),
        ];
        for (page, plain, place) in pairs {
            assert_eq!((map.place(page), map.place(plain)), (place, place), "{page:#x}");
        }
    }

    #[test]
    fn a_page_shows_nothing_behind_its_registers() {
        for offset in [0x0400_0004, 0x0380_0004, 0x0300_0010, 0x0800_0010] {
            assert_eq!(Map::new(16).place(offset), Place::Plain, "{offset:#x}");
        }
    }

    #[test]
    fn there_are_768_mailbox_pages() {
        let map = Map::new(0);
        let last = Place::Mailbox(Owner::Vsi(767), Mbx::ATQT);
        assert_eq!(map.place(0x0200_0000 + 4096 * 767 + 0x10), last);
        assert_eq!(map.place(0x0200_0000 + 4096 * 768 + 0x10), Place::Plain);
    }

    #[test]
    fn a_slot_of_the_ims_has_an_interrupt_page_a_message_and_a_rate() {
        let map = Map::new(3);
        let vector = |slot, register| Place::Vector(Vector::ims(slot).unwrap(), register);
        assert_eq!(map.place(0x0800_2008), vector(2, VectorRegister::Itr(1)));
        assert_eq!(map.place(0x0C00_002C), Place::Ims(0x2C));
        assert_eq!(map.place(0x0C10_0008), vector(2, VectorRegister::Rate));
    }

    #[test]
    fn a_slot_that_the_device_lacks_is_nowhere() {
        for offset in [0x0800_3000, 0x0C00_0030, 0x0C10_000C] {
            assert_eq!(Map::new(3).place(offset), Place::Nothing, "{offset:#x}");
        }
    }
}
