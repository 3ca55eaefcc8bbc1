//! One page of memory for keys: locked, so that it is not swapped out, and on Linux left out of core dumps and
//! empty in a forked child. Where it is asked for and to be had, the kernel itself has no access to it.

use std::ffi::c_void;
use std::io;
use std::ops::{Deref, DerefMut};
use std::ptr::{self, NonNull};

use protocol::Memory;
use rustix::mm::{MapFlags, ProtFlags, mlock, mmap_anonymous, munmap};
use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

/// A value in a page that it has for itself. Locks count by page: two values in one would undo each other's.
#[derive(Debug)]
pub struct LockedPage<T> {
    value: NonNull<T>,
    size: usize,
    memory: Memory,
}

/// What kind of page is wanted.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PageKind {
    /// One that is locked.
    #[default]
    Locked,
    /// One that the kernel cannot read either (`memfd_secret`). While there is one the machine does not hibernate.
    Secret,
}

// SAFETY: the page is owned as a `Box` owns its memory; nothing else points into it.
#[expect(unsafe_code, reason = "a pointer is neither by itself")]
unsafe impl<T: Send> Send for LockedPage<T> {}
// SAFETY: as above; a shared reference gives out shared references alone.
#[expect(unsafe_code, reason = "a pointer is neither by itself")]
unsafe impl<T: Sync> Sync for LockedPage<T> {}

impl<T> LockedPage<T> {
    /// Moves a value into a page of its own, the next best one where the kernel has no such kind, or the limit of
    /// locked memory (`ulimit -l`) forbids it: see [`LockedPage::memory`].
    pub fn new(value: T, kind: PageKind) -> io::Result<Self> {
        let size = rustix::param::page_size();
        if size_of::<T>() > size || align_of::<T>() > size {
            return Err(io::Error::other("it does not fit a page"));
        }
        let secret = if kind == PageKind::Secret { super::map_secret(size).ok() } else { None };
        let (start, memory) = match secret {
            Some(start) => (start, Memory::Secret),
            None => map_locked(size)?,
        };
        let value_at = NonNull::new(start.cast::<T>()).ok_or(io::ErrorKind::OutOfMemory)?;
        // SAFETY: the page is mapped for writing, large enough, aligned to its size, and nobody else's.
        #[expect(unsafe_code, reason = "the value goes to an address")]
        unsafe {
            value_at.write(value);
        }
        Ok(Self { value: value_at, size, memory })
    }

    /// What kind of page it became.
    pub fn memory(&self) -> Memory {
        self.memory
    }
}

/// Memory that is locked where the limit allows it.
fn map_locked(size: usize) -> io::Result<(*mut c_void, Memory)> {
    // SAFETY: no address is asked for, so no memory of anybody's is replaced.
    #[expect(unsafe_code, reason = "memory of one's own is not to be had otherwise")]
    let start = unsafe {
        mmap_anonymous(ptr::null_mut(), size, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)
    }?;
    super::hide(start, size);
    // SAFETY: the page is mapped, and locking changes nothing that can be seen of it.
    #[expect(unsafe_code, reason = "it takes an address")]
    let locked = unsafe { mlock(start, size) }.is_ok();
    Ok((start, if locked { Memory::Locked } else { Memory::Swappable }))
}

impl<T> Deref for LockedPage<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: a value was written there by `new`, and stays until `drop`.
        #[expect(unsafe_code, reason = "the value is at an address")]
        unsafe {
            self.value.as_ref()
        }
    }
}

impl<T> DerefMut for LockedPage<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as for `deref`; nobody else has a reference.
        #[expect(unsafe_code, reason = "the value is at an address")]
        unsafe {
            self.value.as_mut()
        }
    }
}

impl<T> Drop for LockedPage<T> {
    fn drop(&mut self) {
        let start: *mut c_void = self.value.as_ptr().cast();
        // SAFETY: the value is dropped once and not used after; the page is ours, mapped, and `size` long.
        #[expect(unsafe_code, reason = "wiping and giving back go by address")]
        unsafe {
            self.value.drop_in_place();
            std::slice::from_raw_parts_mut(start.cast::<u8>(), self.size).zeroize();
            // What is not given back is empty.
            let _ = munmap(start, self.size);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_lives_in_a_page_of_its_own() {
        let one = LockedPage::new([7_u64; 4], PageKind::Locked).unwrap();
        let two = LockedPage::new([9_u64; 4], PageKind::Locked).unwrap();
        let three = LockedPage::new([11_u64; 4], PageKind::Secret).unwrap();
        assert_eq!((*one, *two, *three), ([7; 4], [9; 4], [11; 4]));
        let page = |value: &[u64; 4]| ptr::from_ref(value).addr() / rustix::param::page_size();
        assert_ne!(page(&one), page(&two));
        drop(one);
        assert_eq!(*two, [9; 4]);
    }
}
