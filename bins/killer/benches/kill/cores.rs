//! One core for the killer, the others for everything else.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::io;
use std::process::{Child, Command};

/// Who runs where.
pub struct Cores {
    /// The killer's; `None` where there is only one core, which all share.
    killer: Option<usize>,
}

impl Cores {
    /// Leaves the last core to the killer. To be called before there are threads: they inherit it.
    pub fn divide() -> Self {
        let all = sched_getaffinity(None).unwrap();
        let allowed: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|core| all.is_set(*core)).collect();
        let (Some(last), true) = (allowed.last().copied(), allowed.len() > 1) else { return Self { killer: None } };
        let mut others = all;
        others.unset(last);
        sched_setaffinity(None, &others).unwrap();
        Self { killer: Some(last) }
    }

    /// Starts a program on the killer's core.
    pub fn spawn(&self, mut command: Command) -> io::Result<Child> {
        let Some(core) = self.killer else { return command.spawn() };
        // A child is where the thread is that starts it.
        let thread = std::thread::spawn(move || {
            let mut one = CpuSet::new();
            one.set(core);
            sched_setaffinity(None, &one)?;
            command.spawn()
        });
        thread.join().unwrap()
    }

    /// In words.
    pub fn said(&self) -> String {
        match self.killer {
            Some(core) => format!("a core of its own (processor {core})"),
            None => "the only core, which all share".to_owned(),
        }
    }
}
