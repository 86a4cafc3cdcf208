//! What has been taken and is not on the disk yet: in order for the writer, by name for those who ask.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use tollgate_filters::responses::Stored;

/// Organisation and id.
pub(super) type Name = (String, String);

#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub stored: Arc<Stored>,
    pub size: usize,
}

#[derive(Debug, Clone)]
pub(super) enum Change {
    Put(Kept),
    Delete,
}

impl Change {
    fn size(&self) -> usize {
        match self {
            Self::Put(kept) => kept.size,
            Self::Delete => 0,
        }
    }
}

/// One change, under way to the disk.
#[derive(Debug)]
pub(super) struct Job {
    pub name: Name,
    pub change: Change,
    number: u64,
}

#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// The last change of each name. Stays until it is on the disk.
    changes: HashMap<Name, (u64, Change)>,
    /// What the writer has not taken yet. A number that is not its name's any more is passed over.
    order: VecDeque<(u64, Name)>,
    bytes: usize,
    last: u64,
}

impl Waiting {
    pub(super) fn len(&self) -> usize {
        self.changes.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn find(&self, name: &Name) -> Option<&Change> {
        self.changes.get(name).map(|(_, change)| change)
    }

    /// Takes a change and gives out its number.
    pub(super) fn push(&mut self, name: Name, change: Change) -> u64 {
        self.last += 1;
        self.bytes += change.size();
        self.order.push_back((self.last, name.clone()));
        if let Some((_, before)) = self.changes.insert(name, (self.last, change)) {
            self.bytes -= before.size();
        }
        self.last
    }

    pub(super) fn holds(&self, name: &Name, number: u64) -> bool {
        self.changes.get(name).is_some_and(|(held, _)| *held == number)
    }

    /// What comes next, up to so many changes and bytes; one in any case.
    pub(super) fn take(&mut self, most: usize, bytes: usize) -> Vec<Job> {
        let (mut jobs, mut size) = (Vec::new(), 0);
        while jobs.len() < most && size < bytes {
            let Some((number, name)) = self.order.pop_front() else { break };
            if let Some((held, change)) = self.changes.get(&name)
                && *held == number
            {
                size += change.size();
                jobs.push(Job { change: change.clone(), name, number });
            }
        }
        jobs
    }

    /// The writer could not write them.
    pub(super) fn put_back(&mut self, jobs: Vec<Job>) {
        for job in jobs.into_iter().rev() {
            self.order.push_front((job.number, job.name));
        }
    }

    /// They are on the disk.
    pub(super) fn done(&mut self, jobs: Vec<Job>) {
        for job in jobs {
            if self.holds(&job.name, job.number)
                && let Some((_, change)) = self.changes.remove(&job.name)
            {
                self.bytes -= change.size();
            }
        }
    }
}
