//! The code by which a process tells the time without asking the kernel, and what to put in its place.
//!
//! The kernel maps it into every process: the vDSO, a small shared library. What is here is values; [`super::clock`] writes them.

use anyhow::{Context, Result, bail, ensure};

/// What to write into an image of the vDSO, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Patch {
    /// From the beginning of the image on.
    pub(super) at: usize,
    /// The code.
    pub(super) code: Vec<u8>,
}

/// Writes code that adds so many seconds.
type Write = fn(i32) -> Vec<u8>;

/// The functions that say what time of the calendar it is, each with what takes its place: it asks the kernel, and adds seconds
/// to the answer. All keep what the calling convention has them keep, and need no stack.
const FUNCTIONS: [(&str, Write); 3] =
    [("__vdso_clock_gettime", clock_gettime), ("__vdso_gettimeofday", gettimeofday), ("__vdso_time", time)];

/// `e_machine` of x86-64, and `sh_type` of a table of dynamic symbols.
const X86_64: usize = 62;
const DYNAMIC_SYMBOLS: usize = 11;

/// What to write into this image of the vDSO so that the calendar time is so many seconds off.
pub(super) fn patches(image: &[u8], seconds: i32) -> Result<Vec<Patch>> {
    ensure!(image.starts_with(b"\x7fELF"), "the vDSO is no ELF image");
    ensure!(number(image, 18, 2)? == X86_64, "clocks can be set only on x86-64");
    FUNCTIONS
        .iter()
        .map(|(name, code)| {
            let (at, size) = symbol(image, name)?;
            let code = code(seconds);
            ensure!(
                code.len() <= size && at + size <= image.len(),
                "{name} has no room: {size} bytes at {at}"
            );
            Ok(Patch { at, code })
        })
        .collect()
}

/// Where a function is, and how long it is.
fn symbol(image: &[u8], wanted: &str) -> Result<(usize, usize)> {
    let (first, each, count) = (number(image, 40, 8)?, number(image, 58, 2)?, number(image, 60, 2)?);
    let section = |nth: usize| first + nth * each;
    let all = (0..count).map(section);
    let table = all
        .filter_map(|header| Some((header, number(image, header + 4, 4).ok()?)))
        .find(|(_, kind)| *kind == DYNAMIC_SYMBOLS)
        .map(|(header, _)| header)
        .context("the vDSO has no table of symbols")?;
    let (symbols, length) = (number(image, table + 24, 8)?, number(image, table + 32, 8)?);
    let names = number(image, section(number(image, table + 40, 4)?) + 24, 8)?;
    for symbol in (symbols..symbols + length).step_by(24) {
        let name = image.get(names + number(image, symbol, 4)?..).unwrap_or_default();
        if name.starts_with(wanted.as_bytes()) && name.get(wanted.len()) == Some(&0) {
            return Ok((number(image, symbol + 8, 8)?, number(image, symbol + 16, 8)?));
        }
    }
    bail!("the vDSO has no {wanted}")
}

/// A number of so many bytes, the lowest first.
fn number(image: &[u8], at: usize, bytes: usize) -> Result<usize> {
    let bytes = image.get(at..at + bytes).context("the vDSO ends too soon")?;
    Ok(bytes.iter().rev().fold(0, |number, byte| (number << 8) | usize::from(*byte)))
}

/// `int clock_gettime(clockid_t clock, struct timespec *time)`
fn clock_gettime(seconds: i32) -> Vec<u8> {
    let (ask, add) = (b"\xb8\xe4\0\0\0\x0f\x05", b"\x48\x81\x06"); // mov eax, 228; syscall / add qword [rsi], ...
    let realtime = b"\x85\xff\x74\x05\x83\xff\x05\x75\x0b"; // test edi, edi; je 5; cmp edi, 5 (coarse); jne 11
    let answered = b"\x85\xc0\x75\x07"; // test eax, eax; jne 7
    [&ask[..], realtime, answered, add, &seconds.to_le_bytes(), RETURN].concat()
}

/// `int gettimeofday(struct timeval *time, struct timezone *zone)`
fn gettimeofday(seconds: i32) -> Vec<u8> {
    let (ask, add) = (b"\xb8\x60\0\0\0\x0f\x05", b"\x48\x81\x07"); // mov eax, 96; syscall / add qword [rdi], ...
    let wanted = b"\x48\x85\xff\x74\x07"; // test rdi, rdi; je 7
    [&ask[..], wanted, add, &seconds.to_le_bytes(), RETURN].concat()
}

/// `time_t time(time_t *time)`
fn time(seconds: i32) -> Vec<u8> {
    let (ask, add) = (b"\xb8\xc9\0\0\0\x0f\x05", b"\x48\x05"); // mov eax, 201; syscall / add rax, ...
    let store = b"\x48\x85\xff\x74\x03\x48\x89\x07"; // test rdi, rdi; je 3; mov [rdi], rax
    [&ask[..], add, &seconds.to_le_bytes(), store, RETURN].concat()
}

const RETURN: &[u8] = b"\xc3";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_vdso_is_refused() {
        let mut image = vec![0; 200];
        assert!(patches(&image, 1).is_err());
        image[..4].copy_from_slice(b"\x7fELF");
        assert!(patches(&image, 1).unwrap_err().to_string().contains("x86-64"));
        image[18] = 62;
        assert!(patches(&image, 1).unwrap_err().to_string().contains("no table"));
        assert!(patches(&image[..30], 1).unwrap_err().to_string().contains("too soon"));
    }

    /// Where the jumps lead.
    #[test]
    fn every_jump_leads_to_the_return_or_to_what_it_skips_to() {
        for (code, jump, target) in [
            (clock_gettime(1), 9, 16),
            (clock_gettime(1), 14, 27),
            (clock_gettime(1), 18, 27),
            (gettimeofday(1), 10, 19),
            (time(1), 16, 21),
        ] {
            assert!(matches!(code[jump], 0x74 | 0x75), "{code:x?}");
            assert_eq!(jump + 2 + usize::from(code[jump + 1]), target, "{code:x?}");
            assert!(target == 16 || (target + 1 == code.len() && code[target] == RETURN[0]), "{code:x?}");
        }
    }
}
