//! The memory of another process, as root sees it.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

/// The memory that a process can write to, at one moment.
pub struct Memory(Vec<Mapping>);

/// One mapping.
pub struct Mapping {
    /// The kernel's name for it, or the file's; empty for anonymous memory.
    pub name: String,
    /// How the kernel treats it (`VmFlags`).
    pub flags: Vec<String>,
    bytes: Vec<u8>,
}

impl Memory {
    /// Reads it. Only root can.
    pub fn read(pid: i32) -> Self {
        let maps = fs::read_to_string(format!("/proc/{pid}/smaps")).unwrap();
        let memory = File::open(format!("/proc/{pid}/mem")).unwrap();
        let mut mappings = Vec::new();
        let mut current = None;
        for line in maps.lines() {
            let mut fields = line.split_ascii_whitespace();
            let first = fields.next().unwrap();
            if let Some((start, end)) = first.split_once('-') {
                let number = |text| u64::from_str_radix(text, 16).unwrap();
                let writable = fields.next().is_some_and(|access| access.starts_with("rw"));
                current =
                    writable.then(|| (number(start), number(end), fields.nth(3).unwrap_or("").to_owned()));
            } else if first == "VmFlags:"
                && let Some((start, end, name)) = current.take()
            {
                let mut bytes = vec![0; usize::try_from(end - start).unwrap()];
                memory.read_exact_at(&mut bytes, start).unwrap();
                mappings.push(Mapping { name, flags: fields.map(str::to_owned).collect(), bytes });
            }
        }
        assert!(mappings.iter().any(|mapping| mapping.name == "[stack]"), "this is a whole process");
        Self(mappings)
    }

    /// The one mapping that is locked, left out of dumps and wiped in a fork.
    pub fn key_page(&self) -> &Mapping {
        let is = |mapping: &&Mapping| {
            ["lo", "dd", "wf"].iter().all(|flag| mapping.flags.iter().any(|name| name == flag))
        };
        let mut pages = self.0.iter().filter(is);
        let page = pages.next().expect("a key page");
        assert!(pages.next().is_none(), "one is enough");
        page
    }

    /// Where this is: the names of the mappings, once for each place. Digits count where no further ones stand beside
    /// them: a code is found in the dates of the certificates that AWS is known by, sooner or later.
    pub fn places(&self, needle: &[u8]) -> Vec<String> {
        assert!(needle.len() >= 6, "less is anywhere");
        let mut places = Vec::new();
        for mapping in &self.0 {
            let candidates = (0..mapping.bytes.len()).filter(|at| mapping.bytes[*at] == needle[0]);
            let is_digit = |at: usize| mapping.bytes.get(at).is_some_and(u8::is_ascii_digit);
            let digits = needle.iter().all(u8::is_ascii_digit);
            for at in candidates {
                let inside = digits && (is_digit(at.wrapping_sub(1)) || is_digit(at + needle.len()));
                if mapping.bytes[at..].starts_with(needle) && !inside {
                    // What stands around it tells whose it is.
                    let around = &mapping.bytes
                        [at.saturating_sub(24)..(at + needle.len() + 16).min(mapping.bytes.len())];
                    places.push(format!("{}+{at:#x}: {}", mapping.name, around.escape_ascii()));
                }
            }
        }
        places
    }
}

impl Mapping {
    /// What it holds, without the zeros behind it.
    pub fn contents(&self) -> &[u8] {
        let end = self.bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        &self.bytes[..end]
    }
}

/// Whether a process has these bytes anywhere in its memory. Root alone can look into the agent's.
pub fn memory_holds(pid: i32, needle: &[u8]) -> bool {
    !Memory::read(pid).places(needle).is_empty()
}
