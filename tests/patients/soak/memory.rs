//! Resident memory and CPU time of a process over time, and whether its memory is flat.

use std::fmt;
use std::fs;
use std::time::Duration;

/// In how many parts a run is reported.
pub(super) const PARTS: usize = 10;
/// Before this a process may not even be the program that it is going to be.
const STARTED: Duration = Duration::from_millis(500);
/// From which of them on memory is judged: before, what is kept for up to an hour is still being gathered.
const SETTLED: usize = PARTS / 2;
/// A run must last this long for memory to be judged.
const JUDGED_FROM: Duration = Duration::from_secs(20 * 60);
/// By how much the judged parts may rise from the first to the last: the larger of a size and a share of their median.
const MAY_RISE_KIB: f64 = 4.0 * 1024.0;
const MAY_RISE_SHARE: f64 = 0.1;

/// The resident memory of a process, in KiB, at times since the run began.
#[derive(Debug)]
pub(super) struct Memory {
    pid: u32,
    length: Duration,
    samples: Vec<(Duration, u32)>,
    peak: u32,
    cpu: Duration,
}

/// Least, median and most of a part of the run, in KiB.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Part {
    least: u32,
    median: u32,
    most: u32,
}

/// What the memory did over the judged parts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Trend {
    /// By how many KiB an hour it rises.
    per_hour: f64,
    /// By how many it rose from the first of the judged parts to the last, and how many are allowed.
    rise: f64,
    allowed: f64,
    /// Whether the run was long enough to hold that against the process.
    is_judged: bool,
}

impl Memory {
    /// Of a process, for a run of this length.
    pub(super) fn of(pid: u32, length: Duration) -> Self {
        Self { pid, length, samples: Vec::new(), peak: 0, cpu: Duration::ZERO }
    }

    /// Takes a sample. Where the system does not tell, there is none.
    pub(super) fn sample(&mut self, at: Duration) {
        if at < STARTED {
            return;
        }
        let Ok(status) = fs::read_to_string(format!("/proc/{}/status", self.pid)) else { return };
        if let (Some(resident), Some(peak)) = (kibibytes(&status, "VmRSS:"), kibibytes(&status, "VmHWM:")) {
            self.samples.push((at, resident));
            self.peak = peak;
        }
        if let Some(cpu) = fs::read_to_string(format!("/proc/{}/stat", self.pid)).ok().and_then(|stat| cpu_time(&stat))
        {
            self.cpu = cpu;
        }
    }

    /// The share of a core that the process has used, in percent.
    pub(super) fn cpu_percent(&self) -> f64 {
        self.samples.last().map_or(0.0, |(at, _)| 100.0 * self.cpu.as_secs_f64() / at.as_secs_f64().max(1.0))
    }

    /// The most that was ever resident, in KiB.
    pub(super) fn peak(&self) -> Mebibytes {
        Mebibytes(f64::from(self.peak))
    }

    /// A part of the run, counted from zero; nothing if there is no sample in it.
    pub(super) fn part(&self, index: usize) -> Option<Part> {
        let mut resident: Vec<u32> =
            self.samples.iter().filter(|(at, _)| self.index_of(*at) == index).map(|(_, resident)| *resident).collect();
        resident.sort_unstable();
        let median = *resident.get(resident.len() / 2)?;
        Some(Part { least: *resident.first()?, median, most: *resident.last()? })
    }

    fn index_of(&self, at: Duration) -> usize {
        let parts = (0..PARTS).take_while(|index| at >= self.length * u32::try_from(*index).unwrap_or(0) / 10);
        parts.count().saturating_sub(1)
    }

    /// How the judged parts go on from each other: the median of the slopes between any two of them (Theil and Sen), which a part that
    /// is out of line does not turn.
    pub(super) fn trend(&self) -> Option<Trend> {
        let parts: Vec<(f64, f64)> = (SETTLED..PARTS)
            .filter_map(|index| Some((index, self.part(index)?)))
            .map(|(index, part)| (f64::from(u32::try_from(index).unwrap_or(0)), f64::from(part.median)))
            .collect();
        let pairs =
            parts.iter().enumerate().flat_map(|(rank, first)| parts[rank + 1..].iter().map(move |last| (first, last)));
        let per_part = median(pairs.map(|(first, last)| (last.1 - first.1) / (last.0 - first.0)).collect())?;
        let usual = median(parts.iter().map(|part| part.1).collect())?;
        let parts_between = parts.last()?.0 - parts.first()?.0;
        Some(Trend {
            per_hour: per_part * 3600.0 / (self.length.as_secs_f64() / 10.0),
            rise: per_part * parts_between,
            allowed: MAY_RISE_KIB.max(usual * MAY_RISE_SHARE),
            is_judged: self.length >= JUDGED_FROM,
        })
    }
}

impl Trend {
    /// Whether the memory keeps growing.
    pub(super) fn grows(&self) -> bool {
        self.is_judged && self.rise > self.allowed
    }
}

impl fmt::Display for Part {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [least, median, most] = [self.least, self.median, self.most].map(|size| Mebibytes(f64::from(size)));
        write!(out, "{least} / {median} / {most}")
    }
}

impl fmt::Display for Trend {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match (self.is_judged, self.rise > self.allowed) {
            (false, _) => "not judged, the run is too short",
            (true, true) => "GROWS",
            (true, false) => "flat",
        };
        let [rise, allowed, per_hour] = [self.rise, self.allowed, self.per_hour].map(Mebibytes);
        write!(out, "{verdict}: {rise:+} MiB over the second half (at most {allowed}), {per_hour:+} MiB an hour")
    }
}

/// A size in KiB, shown in MiB.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mebibytes(f64);

impl fmt::Display for Mebibytes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = self.0 / 1024.0;
        if out.sign_plus() { write!(out, "{size:+.1}") } else { write!(out, "{size:.1}") }
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

fn kibibytes(status: &str, key: &str) -> Option<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse().ok()
}

/// User and system time, which stand behind the name, which may hold spaces. Linux counts in hundredths of a second.
fn cpu_time(stat: &str) -> Option<Duration> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let ticks = |field: Option<&str>| field.and_then(|field| field.parse::<u64>().ok());
    Some(Duration::from_millis(10 * (ticks(fields.next())? + ticks(fields.next())?)))
}
