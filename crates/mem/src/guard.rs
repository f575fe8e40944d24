//! Surviving SIGBUS: a file that is shorter than our mapping of it.
//!
//! The owner of a shared file can truncate it at any time; the next touch of a lost page raises
//! SIGBUS in whoever touches it. The handler here looks the address up among the registered
//! mappings, puts anonymous memory under the fault and everything behind it, and marks the mapping
//! as poisoned: the access that was under way finishes on memory nobody sees, and then reports a
//! fault. Any other SIGBUS goes to whoever handled it before.
#![allow(unsafe_code)] // a signal handler, and mmap over a mapping that is known to be ours

use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, Ordering, fence};
use std::sync::{Mutex, PoisonError};

use libc::{c_int, c_void, siginfo_t};

/// One registered mapping. Never freed, only used again: the handler may be reading it.
#[derive(Default)]
struct Slot {
    /// Odd while `start` and `len` change; the handler passes over such a slot.
    version: AtomicU32,
    start: AtomicUsize,
    len: AtomicUsize,
    poisoned: AtomicBool,
}

const FIRST_CHUNK: usize = 64;
const CHUNKS: usize = 13;

/// Chunk `k` holds `FIRST_CHUNK << k` slots, so it can grow without moving what is there.
static SLOTS: [AtomicPtr<Slot>; CHUNKS] = [const { AtomicPtr::new(ptr::null_mut()) }; CHUNKS];
static FREE: Mutex<Free> = Mutex::new(Free { slots: Vec::new(), chunks: 0 });
static PREVIOUS: AtomicPtr<libc::sigaction> = AtomicPtr::new(ptr::null_mut());
static LAST_FOREIGN: AtomicUsize = AtomicUsize::new(usize::MAX);

struct Free {
    slots: Vec<&'static Slot>,
    chunks: usize,
}

/// A mapping that the handler knows; dropping it makes the handler forget.
pub(crate) struct Guarded(&'static Slot);

impl Guarded {
    /// Registers `len` bytes from `start`, and sees to it that the handler is installed.
    ///
    /// The caller keeps the mapping alive, and its own, until the guard is dropped.
    pub(crate) fn new(start: usize, len: usize) -> io::Result<Guarded> {
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        install()?;
        if free.slots.is_empty() {
            grow(&mut free)?;
        }
        let slot = free.slots.pop().ok_or(io::ErrorKind::OutOfMemory)?;
        slot.poisoned.store(false, Ordering::Relaxed);
        slot.set(start, len);
        Ok(Guarded(slot))
    }

    /// Whether a page of the mapping was lost.
    pub(crate) fn poisoned(&self) -> bool {
        self.0.poisoned.load(Ordering::Acquire)
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.0.set(0, 0);
        FREE.lock().unwrap_or_else(PoisonError::into_inner).slots.push(self.0);
    }
}

impl Slot {
    fn set(&self, start: usize, len: usize) {
        self.version.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::Release);
        self.start.store(start, Ordering::Relaxed);
        self.len.store(len, Ordering::Relaxed);
        self.version.fetch_add(1, Ordering::Release);
    }

    /// The mapping, if it holds `addr` and is not being changed just now. The one that faulted
    /// can't be changing: whoever touches it keeps it alive.
    fn holds(&self, addr: usize) -> Option<(usize, usize)> {
        let version = self.version.load(Ordering::Acquire);
        let start = self.start.load(Ordering::Relaxed);
        let len = self.len.load(Ordering::Relaxed);
        fence(Ordering::Acquire);
        let stable = version.is_multiple_of(2) && self.version.load(Ordering::Relaxed) == version;
        (stable && addr.wrapping_sub(start) < len).then_some((start, len))
    }
}

fn grow(free: &mut Free) -> io::Result<()> {
    let chunk = SLOTS.get(free.chunks).ok_or(io::ErrorKind::OutOfMemory)?;
    let slots: Vec<Slot> = (0..FIRST_CHUNK << free.chunks).map(|_| Slot::default()).collect();
    let slots: &'static [Slot] = slots.leak();
    chunk.store(slots.as_ptr().cast_mut(), Ordering::Release);
    free.slots.extend(slots);
    free.chunks += 1;
    Ok(())
}

/// Puts the handler in place, again if somebody has since put another one there.
fn install() -> io::Result<()> {
    // SAFETY: sigaction with a null new action only fills in the old one, which is then valid.
    let current = unsafe {
        let mut old = MaybeUninit::<libc::sigaction>::zeroed();
        if libc::sigaction(libc::SIGBUS, ptr::null(), old.as_mut_ptr()) != 0 {
            return Err(io::Error::last_os_error());
        }
        old.assume_init()
    };
    let ours = on_sigbus as *const () as usize;
    if current.sa_sigaction == ours {
        return Ok(());
    }
    // Leaked: the handler may be reading the one before. It happens once, or once per rival.
    PREVIOUS.store(Box::into_raw(Box::new(current)), Ordering::Release);
    // SAFETY: the handler has the signature that SA_SIGINFO asks for, and is async-signal-safe.
    let done = unsafe {
        let mut action = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
        action.sa_sigaction = ours;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        libc::sigemptyset(&raw mut action.sa_mask);
        libc::sigaction(libc::SIGBUS, &raw const action, ptr::null_mut())
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Async-signal-safe: atomics, mmap and sigaction only.
extern "C" fn on_sigbus(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel hands a valid siginfo to an SA_SIGINFO handler; errno is this thread's.
    let (addr, is_fault, errno) =
        unsafe { ((*info).si_addr().addr(), (*info).si_code > 0, *libc::__errno_location()) };
    if !(is_fault && heal(addr)) {
        chain(signal, info, context, if is_fault { addr } else { usize::MAX - 1 });
    }
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
}

/// Gives the mapping that holds `addr` memory of its own from the fault on.
fn heal(addr: usize) -> bool {
    let Some((slot, start, len)) = find(addr) else { return false };
    let page = usize::try_from(crate::PAGE_SIZE).unwrap_or(4096);
    let from = addr & !(page - 1);
    // A mapping of huge pages can't be replaced in part, so the second try takes the whole.
    let healed = replace(from, start + len - from) || replace(start, len);
    if healed {
        slot.poisoned.store(true, Ordering::Release);
    }
    healed
}

fn find(addr: usize) -> Option<(&'static Slot, usize, usize)> {
    SLOTS.iter().enumerate().find_map(|(k, chunk)| {
        let chunk = ptr::NonNull::new(chunk.load(Ordering::Acquire))?;
        // SAFETY: `grow` published a leaked slice of exactly this many slots.
        let slots: &'static [Slot] =
            unsafe { std::slice::from_raw_parts(chunk.as_ptr(), FIRST_CHUNK << k) };
        slots.iter().find_map(|slot| slot.holds(addr).map(|(start, len)| (slot, start, len)))
    })
}

fn replace(from: usize, len: usize) -> bool {
    // SAFETY: the range lies inside a registered mapping, which its owner keeps alive while it is
    // accessed; nothing but atomic accesses refers to it, and any bytes do for those.
    let at = unsafe {
        libc::mmap(
            ptr::without_provenance_mut(from),
            len,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED | libc::MAP_NORESERVE,
            -1,
            0,
        )
    };
    at != libc::MAP_FAILED
}

/// Hands a SIGBUS that is not about us to the handler before; if that one returns and the same
/// fault comes again, the default action ends the process as it would have without us.
fn chain(signal: c_int, info: *mut siginfo_t, context: *mut c_void, addr: usize) {
    let again = LAST_FOREIGN.swap(addr, Ordering::Relaxed) == addr;
    let previous = PREVIOUS.load(Ordering::Acquire);
    // SAFETY: `install` stored a leaked sigaction before this handler could run.
    let action = unsafe { previous.as_ref() };
    match action {
        Some(action)
            if !again
                && action.sa_sigaction != libc::SIG_DFL
                && action.sa_sigaction != libc::SIG_IGN =>
        {
            // SAFETY: the address is a handler that was installed with these flags, so it has the
            // signature that they stand for.
            unsafe {
                if action.sa_flags & libc::SA_SIGINFO != 0 {
                    let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) =
                        std::mem::transmute(action.sa_sigaction);
                    handler(signal, info, context);
                } else {
                    let handler: extern "C" fn(c_int) = std::mem::transmute(action.sa_sigaction);
                    handler(signal);
                }
            }
        }
        // SAFETY: signal and raise are async-signal-safe; a fault repeats itself, a signal that
        // was sent has to be sent again.
        _ => unsafe {
            libc::signal(signal, libc::SIG_DFL);
            libc::raise(signal);
        },
    }
}
