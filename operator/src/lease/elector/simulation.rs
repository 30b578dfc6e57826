//! Many electors against one API server, with all that can go wrong between them: clocks that run at different rates
//! and show different times, calls that are slow, lost on the way there or back or carried out long after they were
//! given up, processes that are cut off, stand still, die and come back, labels that others write into the lease.

use super::*;

const TICK: Duration = Duration::from_millis(100);
/// How long there are faults.
const TROUBLE: Duration = Duration::from_mins(6);
/// How long it is quiet afterwards, before the leader is killed and again after that.
const QUIET: Duration = Duration::from_secs(40);

/// A Lease behind an API server that keeps versions.
#[derive(Default)]
struct Server {
    lease: Option<Lease>,
    version: u64,
    requests: Vec<Message<Request>>,
}

/// Something on its way to or from one call of one process.
struct Message<T> {
    arrives: Duration,
    process: usize,
    call: u64,
    what: T,
}

struct Process {
    elector: Elector,
    /// How fast its clock runs, and what it shows at first.
    rate: f64,
    offset: Duration,
    call: Option<(u64, Instant)>,
    frozen_until: Duration,
    cut_until: Duration,
    /// It is dead, and another comes in its place then.
    back_at: Option<Duration>,
}

struct World {
    random: fastrand::Rng,
    timing: Timing,
    epoch: Instant,
    now: Duration,
    server: Server,
    processes: Vec<Process>,
    answers: Vec<Message<Answer>>,
    calls: u64,
    born: u64,
    faults: bool,
}

impl Server {
    fn handle(&mut self, request: Request) -> Answer {
        match request {
            Request::Read => self.lease.clone().map_or(Answer::Absent, |lease| Answer::Is(Box::new(lease))),
            Request::Create(_) if self.lease.is_some() => Answer::Conflict,
            Request::Create(lease) => self.store(*lease),
            Request::Replace(lease) => match &self.lease {
                None => Answer::Absent,
                Some(mine) if mine.metadata.resource_version != lease.metadata.resource_version => {
                    Answer::Conflict
                }
                Some(_) => self.store(*lease),
            },
        }
    }

    fn store(&mut self, mut lease: Lease) -> Answer {
        self.version += 1;
        lease.metadata.resource_version = Some(self.version.to_string());
        self.lease = Some(lease.clone());
        Answer::Is(Box::new(lease))
    }

    fn relabel(&mut self) {
        if let Some(lease) = self.lease.clone() {
            self.store(lease);
        }
    }
}

impl World {
    fn new(seed: u64, timing: Timing) -> Self {
        let mut world = Self {
            random: fastrand::Rng::with_seed(seed),
            timing,
            epoch: Instant::now(),
            now: Duration::ZERO,
            server: Server::default(),
            processes: Vec::new(),
            answers: Vec::new(),
            calls: 0,
            born: 0,
            faults: true,
        };
        for _ in 0..world.random.usize(2..5) {
            let process = world.birth();
            world.processes.push(process);
        }
        world
    }

    fn birth(&mut self) -> Process {
        self.born += 1;
        Process {
            elector: Elector::new(
                format!("p{}", self.born),
                self.timing,
                Jitter::seeded(self.random.u64(..)),
            ),
            rate: 0.87 + 0.26 * self.random.f64(), // at most 1.3 times another's
            offset: Duration::from_secs(self.random.u64(0..1_000_000)),
            call: None,
            frozen_until: self.now,
            cut_until: self.now,
            back_at: None,
        }
    }

    fn local(&self, process: usize) -> Instant {
        let process = &self.processes[process];
        self.epoch + process.offset + self.now.mul_f64(process.rate)
    }

    fn runs(&self, process: usize) -> bool {
        let process = &self.processes[process];
        process.back_at.is_none() && process.frozen_until <= self.now
    }

    fn leaders(&self) -> Vec<usize> {
        let leads = |i: &usize| self.runs(*i) && self.processes[*i].elector.leads(self.local(*i));
        (0..self.processes.len()).filter(leads).collect()
    }

    fn seconds(&mut self, range: std::ops::Range<u64>) -> Duration {
        Duration::from_millis(self.random.u64(range.start * 1000..range.end * 1000))
    }

    /// How long a message takes; none: it is lost.
    fn travel(&mut self, process: usize) -> Option<Duration> {
        if self.processes[process].cut_until > self.now {
            return None;
        }
        match self.random.u8(0..100) {
            _ if !self.faults => Some(Duration::from_millis(20)),
            0..5 => None,
            5..15 => Some(self.seconds(0..25)),
            _ => Some(Duration::from_millis(self.random.u64(5..500))),
        }
    }

    fn trouble(&mut self) {
        if !self.faults || self.random.u8(..) > 3 {
            return;
        }
        let length = self.seconds(0..30);
        let (now, back) = (self.now, self.now + self.seconds(0..5));
        let i = self.random.usize(0..self.processes.len());
        let process = &mut self.processes[i];
        match self.random.u8(0..4) {
            0 => process.frozen_until = now + length,
            1 => process.cut_until = now + length,
            2 => process.back_at = Some(back),
            _ => self.server.relabel(),
        }
    }

    /// One tick; an error when two lead.
    fn tick(&mut self) -> Result<(), String> {
        self.now += TICK;
        self.trouble();
        self.serve();
        self.deliver();
        for i in 0..self.processes.len() {
            if self.processes[i].back_at.is_some_and(|at| at <= self.now) {
                self.processes[i] = self.birth();
            }
            if self.runs(i) {
                self.step(i);
            }
        }
        match self.leaders() {
            two if two.len() > 1 => Err(format!("at {:?} processes {two:?} lead", self.now)),
            _ => Ok(()),
        }
    }

    fn serve(&mut self) {
        let now = self.now;
        for request in take(&mut self.server.requests, |request| request.arrives <= now) {
            let what = self.server.handle(request.what);
            if let Some(travel) = self.travel(request.process) {
                self.answers.push(Message {
                    arrives: now + travel,
                    what,
                    process: request.process,
                    call: request.call,
                });
            }
        }
    }

    fn deliver(&mut self) {
        let runs: Vec<bool> = (0..self.processes.len()).map(|i| self.runs(i)).collect();
        let now = self.now;
        for answer in take(&mut self.answers, |answer| answer.arrives <= now && runs[answer.process]) {
            let local = self.local(answer.process);
            let process = &mut self.processes[answer.process];
            if let Some((_, began)) = process.call.take_if(|(call, _)| *call == answer.call) {
                process.elector.answered(answer.what, began, local);
            }
        }
    }

    /// What the edge does: one call at a time, each under its limit.
    fn step(&mut self, i: usize) {
        let local = self.local(i);
        let process = &mut self.processes[i];
        if let Some((_, began)) = process.call {
            let limit = limit(self.timing.call(), process.elector.until(), began);
            if local < began + limit {
                return;
            }
            process.call = None;
            process.elector.answered(Answer::Failed("no answer".to_owned()), began, local);
        }
        let wall = Timestamp::from_millisecond(self.random.i64(0..1_000_000_000)).unwrap();
        match process.elector.next(local, wall) {
            Next::Ask(what) => {
                self.calls += 1;
                let call = self.calls;
                self.processes[i].call = Some((call, local));
                if let Some(travel) = self.travel(i) {
                    self.server.requests.push(Message { arrives: self.now + travel, what, process: i, call });
                }
            }
            Next::Lost(_) => process.back_at = Some(self.now + Duration::from_secs(1)),
            Next::Wait(_) | Next::Left => {}
        }
    }

    fn run_for(&mut self, time: Duration) -> Result<(), String> {
        let end = self.now + time;
        while self.now < end {
            self.tick()?;
        }
        Ok(())
    }
}

/// Takes out those that fit, in the order in which they arrive.
fn take<T>(messages: &mut Vec<Message<T>>, fits: impl Fn(&Message<T>) -> bool) -> Vec<Message<T>> {
    let mut taken: Vec<_> = messages.extract_if(.., |message| fits(message)).collect();
    taken.sort_by_key(|message| message.arrives);
    taken
}

/// Faults, then quiet, then the death of the leader; answers how long nobody led then.
fn simulate(seed: u64, timing: Timing) -> Result<Duration, String> {
    let mut world = World::new(seed, timing);
    world.run_for(TROUBLE)?;
    world.faults = false;
    world.run_for(QUIET)?;
    let [leader] = world.leaders()[..] else { return Err("nobody leads though all is quiet".to_owned()) };
    let transitions =
        |world: &World| world.server.lease.clone().and_then(|lease| lease.spec?.lease_transitions);
    let before = transitions(&world);
    world.run_for(QUIET)?;
    if (world.leaders(), transitions(&world)) != (vec![leader], before) {
        return Err(format!("process {leader} lost the lease though all is quiet"));
    }
    world.processes[leader].back_at = Some(Duration::MAX);
    let died = world.now;
    while world.leaders().is_empty() && world.now < died + QUIET {
        world.tick()?;
    }
    Ok(world.now.saturating_sub(died))
}

#[test]
fn never_two_lead_and_soon_after_one_dies_another_does() {
    for timing in [Timing::default(), Timing::BRISK] {
        // The lease, and the time between two looks, by the slowest clock; then three calls of two ticks, and one tick.
        let longest = (timing.lease + timing.look(1.0)).div_f64(0.87) + TICK * 7;
        for seed in 0..200 {
            let gap = simulate(seed, timing).unwrap_or_else(|why| panic!("{timing:?}, seed {seed}: {why}"));
            assert!(gap <= longest, "{timing:?}, seed {seed}: nobody led for {gap:?}");
            // One that was only cut off would lead for as long.
            assert!(gap >= timing.renew_deadline, "{timing:?}, seed {seed}: taken too early, after {gap:?}");
        }
    }
}

#[test]
fn the_simulation_finds_two_leaders_where_the_times_allow_them() {
    let seconds = Duration::from_secs;
    let careless = Timing { lease: seconds(6), renew_deadline: seconds(10), retry: seconds(2) };
    let found =
        (0..50).filter_map(|seed| simulate(seed, careless).err()).filter(|why| why.ends_with("lead")).count();
    assert!(found > 10, "{found} of 50");
}
