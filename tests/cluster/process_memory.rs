//! The memory that a server's process has, as the kernel tells it.

use std::fs;

/// The most memory a process has had resident, in bytes: VmHWM, which counts the pages of
/// shared_buffers it touched, too. A test of limits sets shared_buffers low.
pub fn peak_memory(pid: i32) -> u64 {
    memory(pid, "VmHWM:")
}

/// What a process has resident now, in bytes.
pub fn resident_memory(pid: i32) -> u64 {
    memory(pid, "VmRSS:")
}

/// What a process has resident now, in bytes, of each page its share among those who have it (Pss);
/// without shared_buffers, whose pages count with whoever touched them.
pub fn proportional_memory(pid: i32) -> u64 {
    let file = format!("/proc/{pid}/smaps_rollup");
    kilobytes(&file, "Pss_Anon:") + kilobytes(&file, "Pss_File:")
}

/// What a process has that belongs to no file, in bytes, without shared_buffers.
pub fn anonymous_memory(pid: i32) -> u64 {
    kilobytes(&format!("/proc/{pid}/smaps_rollup"), "Pss_Anon:")
}

/// Makes [`peak_memory`] count from here.
pub fn reset_peak_memory(pid: i32) {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("clear_refs");
}

fn memory(pid: i32, field: &str) -> u64 {
    kilobytes(&format!("/proc/{pid}/status"), field)
}

/// A field of a process's file that is told in kB, in bytes.
fn kilobytes(file: &str, field: &str) -> u64 {
    let status = fs::read_to_string(file).expect("the process runs");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(field))
        .expect("its memory");
    let kilobytes = line.trim().trim_end_matches(" kB");
    kilobytes.parse::<u64>().expect("a number of kB") * 1024
}

/// What a process has that no other has, in bytes.
pub fn private_memory(pid: i32) -> u64 {
    let file = format!("/proc/{pid}/smaps_rollup");
    kilobytes(&file, "Private_Clean:") + kilobytes(&file, "Private_Dirty:")
}
