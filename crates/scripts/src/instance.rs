//! A script's thread: what waits in its mailbox, its jobs and timers, one after the other. What fails is said on the
//! console; what keeps failing is paused.

use crate::clock::lock;
use crate::engine::{Fault, FaultKind};
use crate::hooks::Hook;
use crate::host::{Host, Side};
use crate::jobs::Due;
use crate::mailbox::{Event, Mailbox, Queried};
use crate::script::Script;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What a script does now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It is being loaded.
    Loading,
    /// It is at work.
    Running,
    /// It failed to load; it does nothing.
    Failed(String),
    /// It kept failing; it is tried again at this time (ns since the epoch).
    Paused(i64),
    /// It was stopped.
    Stopped,
}

/// What is known of a script at work from outside of its thread.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) side: Side,
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    host: Arc<Host>,
}

/// What its thread tells.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) state: Mutex<State>,
    pub(crate) errors: AtomicU64,
    pub(crate) last_error: Mutex<Option<String>>,
    /// Bytes that it held when it last rested.
    pub(crate) memory: AtomicU64,
    /// When the next timer is due; `i64::MAX` for none.
    next_timer: AtomicI64,
    loads: AtomicU32,
    resting: std::sync::atomic::AtomicBool,
}

/// A thread's stack: scripts may go deep.
const STACK: usize = 4 << 20;
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

impl Instance {
    /// Starts a script on a thread of its own. What comes of its load is told through the receiver.
    pub(crate) fn start(
        host: &Arc<Host>,
        side: Side,
        number: u32,
        file: &str,
        text: &Arc<str>,
    ) -> std::io::Result<(Instance, Receiver<Result<(), Fault>>)> {
        let mailbox = Arc::new(Mailbox::new(host.limits.queue_bytes, host.limits.queue));
        host.clock.ring(Arc::downgrade(mailbox.bell()));
        let shared = Arc::new(Shared {
            state: Mutex::new(State::Loading),
            errors: AtomicU64::new(0),
            last_error: Mutex::default(),
            memory: AtomicU64::new(0),
            next_timer: AtomicI64::new(i64::MAX),
            loads: AtomicU32::new(0),
            resting: std::sync::atomic::AtomicBool::new(false),
        });
        let (loaded, told) = sync_channel(1);
        let worker = Worker {
            host: Arc::clone(host),
            side,
            number,
            file: file.to_owned(),
            text: Arc::clone(text),
            mailbox: Arc::clone(&mailbox),
            shared: Arc::clone(&shared),
            fails: 0,
            breaches: 0,
            pauses: 0,
            heard: 0,
        };
        let thread = std::thread::Builder::new()
            .name(format!("script {number}"))
            .stack_size(STACK)
            .spawn(move || {
                worker.run(|outcome| {
                    // nobody may wait for it
                    let _ = loaded.try_send(outcome);
                });
            })?;
        lock(&host.mailboxes).push((side, Arc::clone(&mailbox)));
        let instance = Instance {
            side,
            mailbox,
            shared,
            thread: Some(thread),
            host: Arc::clone(host),
        };
        Ok((instance, told))
    }

    pub(crate) fn state(&self) -> State {
        lock(&self.shared.state).clone()
    }

    /// Whether it has nothing to do at this time.
    pub(crate) fn is_settled(&self) -> bool {
        let now = self.host.clock.now();
        let scheduler = &self.host.node(self.side).scheduler;
        let done = matches!(self.state(), State::Failed(_) | State::Stopped);
        let paused = matches!(self.state(), State::Paused(until) if until > now);
        let resting = self.shared.resting.load(Ordering::Acquire)
            && self.mailbox.len() == 0
            && self.shared.next_timer.load(Ordering::Acquire) > now
            && scheduler.next_of(&self.mailbox).is_none_or(|due| due > now);
        done || paused || resting
    }

    /// Takes it off everything, and asks it to stop; its thread ends with the call that it is in.
    pub(crate) fn stop(&mut self) {
        lock(&self.host.mailboxes).retain(|(_, mailbox)| !Arc::ptr_eq(mailbox, &self.mailbox));
        self.host.node(self.side).scheduler.remove_of(&self.mailbox);
        self.mailbox.post(Event::Stop);
    }

    /// Waits for its thread, at most for a time; `false` where it is still busy.
    pub(crate) fn join(&mut self, patience: Duration) -> bool {
        let until = std::time::Instant::now() + patience;
        let Some(thread) = self.thread.take() else {
            return true;
        };
        while !thread.is_finished() {
            if std::time::Instant::now() >= until {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        // what it said of its end stands in the log
        let _ = thread.join();
        true
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The thread's own.
struct Worker {
    host: Arc<Host>,
    side: Side,
    number: u32,
    file: String,
    text: Arc<str>,
    mailbox: Arc<Mailbox>,
    shared: Arc<Shared>,
    /// Calls that failed one after the other.
    fails: u32,
    /// Of them, those that met a limit.
    breaches: u32,
    /// Pauses one after the other.
    pauses: u32,
    heard: u64,
}

impl Worker {
    fn run(mut self, loaded: impl Fn(Result<(), Fault>)) {
        // capture goes before scripts
        gillnet_capture::turns::give_way();
        let mut script = match self.load() {
            Ok(script) => {
                // who waits for the load looks at the state next
                self.set(State::Running);
                loaded(Ok(()));
                script
            }
            Err(fault) => {
                self.error(&fault.to_string());
                self.set(State::Failed(fault.to_string()));
                loaded(Err(fault));
                // its jobs stay scheduled in the original; here nobody is left to run them
                self.host.node(self.side).scheduler.remove_of(&self.mailbox);
                return;
            }
        };
        while !self.mailbox.is_stopped() {
            if script.is_spoiled() {
                match self.reload(script) {
                    Some(fresh) => script = fresh,
                    None => return,
                }
                continue;
            }
            if self.is_paused() {
                self.wait(&script, true);
                continue;
            }
            if !self.step(&script) {
                self.wait(&script, false);
            }
        }
        self.set(State::Stopped);
    }

    fn load(&self) -> Result<Script, Fault> {
        self.shared.loads.fetch_add(1, Ordering::Relaxed);
        let script = Script::new(&self.host, self.side, self.number, &self.mailbox)?;
        script.load(&self.file, &self.text)?;
        Ok(script)
    }

    /// Puts a fresh interpreter in the place of one that can't go on; what the script held is lost.
    fn reload(&mut self, old: Script) -> Option<Script> {
        self.host.node(self.side).scheduler.remove_of(&self.mailbox);
        drop(old);
        self.error("its interpreter is given up and the script is loaded anew: what it held in variables is lost");
        match self.load() {
            Ok(script) => Some(script),
            Err(fault) => {
                self.error(&fault.to_string());
                self.set(State::Failed(fault.to_string()));
                // nothing more is sent to it
                self.mailbox.set_hooks(crate::HookSet::default());
                self.host.changed.ring();
                None
            }
        }
    }

    /// Does what is next; `false` where there is nothing.
    fn step(&mut self, script: &Script) -> bool {
        let scheduler = &self.host.node(self.side).scheduler;
        // jobs and timers first: traffic never keeps them waiting
        if let Some(due) = scheduler.take_due(&self.mailbox) {
            self.job(script, &due);
            return true;
        }
        if let Some(outcome) = script.run_timer() {
            self.judge("timer", outcome);
            self.look_for_hooks(script);
            return true;
        }
        match self.mailbox.take() {
            Some(event) => {
                self.handle(script, event);
                true
            }
            None => false,
        }
    }

    fn handle(&mut self, script: &Script, event: Event) {
        match event {
            Event::Item(entry) => {
                let outcome = script.item_captured(entry);
                self.judge("hook=onItemCaptured", outcome);
            }
            Event::Packet(seen) => {
                let outcome = script.packet_captured(&seen);
                self.judge("hook=onPacketCaptured", outcome);
            }
            Event::Queried(entries, until, answer) => {
                let shown = self.queried(script, &entries, until);
                // who asked may not wait any more
                let _ = answer.try_send(shown);
            }
            Event::Job {
                tag,
                cron,
                limit,
                failed,
            } => {
                let name = if failed.is_some() {
                    "hook=onJobFailed"
                } else {
                    "hook=onJobPassed"
                };
                let outcome = script.job_ended(&tag, &cron, limit, failed.as_deref());
                self.judge(name, outcome);
            }
            Event::Action(action, object) => {
                let outcome = script.hub_action(&action, &object);
                self.judge("hook=onHubAction", outcome);
            }
            Event::Pod(event, pod) => {
                let outcome = script.pod_event(&event, &pod);
                self.judge("hook=onPodEvent", outcome);
            }
            Event::Log(level, message) => {
                let outcome = script.log_call(level, &message);
                self.judge("hook=onLogCall", outcome);
            }
            Event::RunJob(tag) => {
                let scheduler = &self.host.node(self.side).scheduler;
                if let Some(due) = scheduler.take(&tag) {
                    self.job(script, &due);
                }
            }
            Event::Stop => {}
        }
    }

    /// What is shown in place of entries; those that it has no time for are left out, counted.
    fn queried(
        &mut self,
        script: &Script,
        entries: &[Queried],
        until: Instant,
    ) -> Vec<Option<String>> {
        let mut shown = Vec::with_capacity(entries.len());
        for queried in entries {
            if script.is_spoiled() || self.is_paused() {
                break;
            }
            if Instant::now() >= until {
                let late = entries.len() - shown.len();
                self.error(&format!(
                    "(hook=onItemQueried) there was no time for {late} of {} entries: they are shown as they are",
                    entries.len()
                ));
                break;
            }
            let outcome = script.item_queried(queried);
            let (json, outcome) = match outcome {
                Ok(json) => (json, Ok(())),
                Err(fault) => (None, Err(fault)),
            };
            self.judge("hook=onItemQueried", outcome);
            shown.push(json);
        }
        let left = entries.len() - shown.len();
        self.mailbox.drop_calls(Hook::ItemQueried, left as u64);
        shown
    }

    fn job(&mut self, script: &Script, due: &Due) {
        let outcome = script.run_job(due);
        let failed = outcome.as_ref().err().map(|fault| fault.text.clone());
        self.judge(&format!("job={}", due.tag), outcome);
        let scheduler = &self.host.node(self.side).scheduler;
        let passed = scheduler.ended(due);
        if passed > 0 {
            self.error(&format!(
                "the job \"{}\" was still running at {passed} of its times: they are passed over",
                due.tag
            ));
        }
        let hook = if failed.is_some() {
            Hook::JobFailed
        } else {
            Hook::JobPassed
        };
        self.host.each(hook, self.side, |mailbox| {
            mailbox.post(Event::Job {
                tag: due.tag.clone(),
                cron: due.cron.clone(),
                limit: due.limit,
                failed: failed.clone(),
            });
        });
        self.look_for_hooks(script);
    }

    /// A job or timer may define a hook.
    fn look_for_hooks(&mut self, script: &Script) {
        if !script.is_spoiled()
            && let Err(fault) = script.find_hooks()
        {
            self.judge("hooks", Err(fault));
        }
    }

    /// Takes what a call came to.
    #[inline]
    fn judge(&mut self, what: &str, outcome: Result<(), Fault>) {
        match outcome {
            Ok(()) => (self.fails, self.breaches) = (0, 0),
            Err(fault) => self.failed(what, &fault),
        }
    }

    #[cold]
    fn failed(&mut self, what: &str, fault: &Fault) {
        self.error(&format!("({what}) {fault}"));
        self.fails += 1;
        let limits = &self.host.limits;
        if matches!(fault.kind, FaultKind::Time | FaultKind::Memory) {
            self.breaches += 1;
        }
        if self.fails < limits.failures && self.breaches < limits.breaches {
            return;
        }
        let longer = 2u32.saturating_pow(self.pauses.min(16));
        let pause = limits.pause.saturating_mul(longer).min(LONGEST_PAUSE);
        self.pauses = self.pauses.saturating_add(1);
        let ns = i64::try_from(pause.as_nanos()).unwrap_or(i64::MAX);
        let until = self.host.clock.now().saturating_add(ns);
        self.mailbox.pause(true);
        self.mailbox.clear_traffic();
        self.error(&format!(
            "it keeps failing ({} times one after the other) and is paused for {pause:?}; a change of the script ends that",
            self.fails
        ));
        self.set(State::Paused(until));
    }

    /// Whether it is paused; a pause that is over ends here.
    fn is_paused(&mut self) -> bool {
        if !self.mailbox.is_paused() {
            return false;
        }
        let State::Paused(until) = *lock(&self.shared.state) else {
            return false;
        };
        if self.host.clock.now() < until {
            // who asks to show entries does not wait for the end of a pause
            while let Some(event) = self.mailbox.take() {
                if let Some(hook) = event.hook() {
                    let calls = match &event {
                        Event::Queried(entries, ..) => entries.len() as u64,
                        _ => 1,
                    };
                    self.mailbox.drop_calls(hook, calls);
                }
                if let Event::Queried(_, _, answer) = event {
                    let _ = answer.try_send(Vec::new());
                }
            }
            return true;
        }
        // the next failure of the same kind pauses it again
        let limits = &self.host.limits;
        self.fails = limits.failures.saturating_sub(1);
        self.breaches = limits.breaches.saturating_sub(1);
        self.mailbox.pause(false);
        self.set(State::Running);
        false
    }

    /// Waits for something to do.
    fn wait(&mut self, script: &Script, paused: bool) {
        let scheduler = &self.host.node(self.side).scheduler;
        let timer = script.next_timer();
        self.shared
            .next_timer
            .store(timer.unwrap_or(i64::MAX), Ordering::Release);
        self.shared
            .memory
            .store(script.memory() as u64, Ordering::Relaxed);
        let paused = match *lock(&self.shared.state) {
            State::Paused(until) if paused => Some(until),
            _ => None,
        };
        let due = match paused {
            Some(until) => Some(until),
            None => [timer, scheduler.next_of(&self.mailbox)]
                .into_iter()
                .flatten()
                .min(),
        };
        let time = due.and_then(|due| self.host.clock.wait(due));
        if self.mailbox.len() > 0 && paused.is_none() {
            return;
        }
        self.shared.resting.store(true, Ordering::Release);
        self.mailbox.bell().wait(&mut self.heard, time);
        self.shared.resting.store(false, Ordering::Release);
    }

    fn set(&self, state: State) {
        *lock(&self.shared.state) = state;
    }

    fn error(&self, text: &str) {
        self.shared.errors.fetch_add(1, Ordering::Relaxed);
        *lock(&self.shared.last_error) = Some(text.to_owned());
        let node = self.host.node(self.side);
        self.host.console.say(&node.name, self.number, true, text);
    }
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host")
            .field("node", &self.worker.name)
            .finish_non_exhaustive()
    }
}

/// How long the call that is being made when the time is over is waited for.
const LAST_CALL: Duration = Duration::from_millis(200);

/// Asks the scripts of a side that change what is shown, one after the other. What takes too long is shown as it is.
pub(crate) fn queried(
    host: &Host,
    side: Side,
    entries: Vec<Queried>,
    patience: Duration,
) -> Vec<Option<String>> {
    let mailboxes: Vec<_> = lock(&host.mailboxes)
        .iter()
        .filter(|(of, mailbox)| *of == side && mailbox.has(Hook::ItemQueried))
        .map(|(_, mailbox)| Arc::clone(mailbox))
        .collect();
    let mut shown: Vec<Option<String>> = vec![None; entries.len()];
    let mut asked = entries;
    for mailbox in mailboxes {
        if mailbox.is_paused() {
            mailbox.drop_calls(Hook::ItemQueried, asked.len() as u64);
            continue;
        }
        let (answer, answered) = sync_channel(1);
        let until = Instant::now() + patience;
        mailbox.post(Event::Queried(asked.clone(), until, answer));
        // what it could do in that time is to arrive
        let Ok(changed) = answered.recv_timeout(patience + LAST_CALL) else {
            continue;
        };
        for ((asked, shown), changed) in asked.iter_mut().zip(&mut shown).zip(changed) {
            if let Some(json) = changed {
                let (Queried::Entry(_, filter) | Queried::Json(_, filter)) = &*asked;
                *asked = Queried::Json(json.clone(), Arc::clone(filter));
                *shown = Some(json);
            }
        }
    }
    shown
}
