//! Metrics of the process, as Linux tells them. Where there is no `/proc`, they are left out.

use std::fs;

use metrics::{counter, gauge};

/// Ticks in a second of the CPU times that Linux shows to programs, whatever its own timer does.
const TICKS: f64 = 100.0;

/// Sets them.
pub(crate) fn set() {
    if let Ok(status) = fs::read_to_string("/proc/self/status") {
        set_gauge(
            "process_resident_memory_bytes",
            field(&status, "VmRSS:").map(|kib| kib * 1024.0),
        );
        set_gauge(
            "process_virtual_memory_bytes",
            field(&status, "VmSize:").map(|kib| kib * 1024.0),
        );
        set_gauge("process_threads", field(&status, "Threads:"));
    }
    if let Ok(limits) = fs::read_to_string("/proc/self/limits") {
        set_gauge("process_max_fds", field(&limits, "Max open files"));
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        gauge!("process_open_fds").set(open.count() as f64);
    }
    if let Ok(stat) = fs::read_to_string("/proc/self/stat")
        && let Some((cpu_ticks, start_ticks)) = ticks(&stat)
    {
        counter!("process_cpu_seconds_total").absolute((cpu_ticks / TICKS) as u64);
        let boot = fs::read_to_string("/proc/stat")
            .ok()
            .and_then(|stat| field(&stat, "btime"));
        set_gauge(
            "process_start_time_seconds",
            boot.map(|boot| boot + start_ticks / TICKS),
        );
    }
}

fn set_gauge(name: &'static str, value: Option<f64>) {
    if let Some(value) = value {
        gauge!(name).set(value);
    }
}

/// The first number of the line that begins with `name`.
fn field(text: &str, name: &str) -> Option<f64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_ascii_whitespace().next()?.parse().ok()
}

/// CPU time and start in ticks, from `/proc/<pid>/stat` (proc(5), fields 14, 15 and 22). The program's name,
/// field 2, may contain anything but ends with the last parenthesis.
fn ticks(stat: &str) -> Option<(f64, f64)> {
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let number = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
    Some((number(14)? + number(15)?, number(22)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_program_may_be_anything() {
        let stat = "7 (a) b) S 1 2 3 4 5 6 7 8 9 10 100 50 13 14 15 16 17 18 900 20";
        assert_eq!(ticks(stat), Some((150.0, 900.0)));
        assert_eq!(ticks("7 (short) S 1"), None);
        assert_eq!(field("VmSize:\t 12 kB\nVmRSS:\t 4 kB", "VmRSS:"), Some(4.0));
    }
}
