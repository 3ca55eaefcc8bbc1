//! A look into another process's memory.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

/// Whether a process has these bytes anywhere in its memory. Root alone can look into the agent's.
pub fn memory_holds(pid: i32, needle: &[u8]) -> bool {
    let memory = File::open(format!("/proc/{pid}/mem")).unwrap();
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    maps.lines().any(|line| {
        let mut fields = line.split_whitespace();
        let (Some(range), Some(permissions)) = (fields.next(), fields.next()) else { return false };
        let (start, end) = range.split_once('-').unwrap();
        let (start, end) = (u64::from_str_radix(start, 16).unwrap(), u64::from_str_radix(end, 16).unwrap());
        if !permissions.starts_with('r') {
            return false;
        }
        let mut bytes = vec![0; usize::try_from(end - start).unwrap()];
        // The kernel's own pages (vvar) cannot be read.
        memory.read_exact_at(&mut bytes, start).is_ok()
            && bytes.windows(needle.len()).any(|window| window == needle)
    })
}
