//! An allocator that counts, for tests that bound what a path allocates. It has to do with Kafka only that it is unsafe.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    /// Bytes that this thread has allocated and not freed; what other threads free makes it wrong by as much.
    static HELD: Cell<i64> = const { Cell::new(0) };
    static MOST_HELD: Cell<i64> = const { Cell::new(0) };
}

/// The system's allocator; to be made a test's `#[global_allocator]`.
#[derive(Debug)]
pub struct CountingAllocator;

/// How often this thread has asked for memory so far; 0 where [`CountingAllocator`] is not the allocator. What C code
/// allocates is not counted.
pub fn allocations() -> u64 {
    ALLOCATIONS.get()
}

/// How many bytes `work` had allocated on this thread at once, at most, beyond those that it began with; 0 where
/// [`CountingAllocator`] is not the allocator.
pub fn most_held<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let before = HELD.get();
    MOST_HELD.set(before);
    let result = work();
    (result, MOST_HELD.get().abs_diff(before))
}

fn count(bytes: usize) {
    ALLOCATIONS.set(ALLOCATIONS.get() + 1);
    let held = HELD.get().wrapping_add(bytes as i64);
    HELD.set(held);
    MOST_HELD.set(MOST_HELD.get().max(held));
}

fn uncount(bytes: usize) {
    HELD.set(HELD.get().wrapping_sub(bytes as i64));
}

// SAFETY: all is left to the system's allocator; the counter neither allocates nor is ever destroyed.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promises are those that are asked for here, and so below.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // It may have to be copied.
        count(size);
        uncount(layout.size());
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        uncount(layout.size());
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}
