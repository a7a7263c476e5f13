//! After start the software twin asks nothing of the system and never panics, whatever the command.
//!
//! A child process executes commands under seccomp's strict mode, in which any system call but `read`, `write` and `exit` kills it.
//! It is a fork of this program: made before it has threads, as this program has no test harness.

#![allow(unsafe_code)]

use std::process::ExitCode;

use wirebook_matcher::abi::{BEAT_BYTES, Command, Event};
use wirebook_matcher::flow::{Beats, Mix, Random};
use wirebook_matcher::{Matcher, Queued, Software, Twin};

/// Beats of each mix, and of random bytes.
const BEATS: usize = 100_000;
/// What the child exits with when all is well.
const WELL: i32 = 7;

/// Seeded beats, aimed by what the software twin answers.
fn beats(mix: &Mix) -> Vec<Command> {
    let mut beats = Beats::new(mix.clone(), 9);
    let mut twin = Software::new(mix.limits.clone());
    let mut events = Vec::new();
    let next = |_| {
        let command = beats.next_beat();
        events.clear();
        twin.execute(&command, |event| events.push(event));
        beats.observe(&command, &events).expect("the twin answers as a matcher may");
        command
    };
    (0..BEATS).map(next).collect()
}

/// Random 32-byte patterns, half of them with a kind that means something.
fn patterns() -> Vec<Command> {
    let mut random = Random::new(3);
    let mut bytes = [0; BEAT_BYTES];
    let next = |at: usize| {
        bytes.as_chunks_mut::<8>().0.iter_mut().for_each(|chunk| *chunk = random.next_u64().to_le_bytes());
        let command = Command::from_bytes(&bytes);
        if at.is_multiple_of(2) { command } else { Command { kind: command.kind % 5, ring: 0, ..command } }
    };
    (0..BEATS).map(next).collect()
}

/// Runs `work` in a fork under seccomp's strict mode. What became of it: its exit code, or minus the signal that killed it.
fn alone(work: impl FnOnce()) -> i32 {
    // SAFETY: this process has one thread, so that a fork is a whole copy of it.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "no fork: {}", std::io::Error::last_os_error());
    if child == 0 {
        // SAFETY: no pointer is passed; from here on this process may compute, and exit.
        let strict = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_STRICT) };
        let code = if strict == 0 {
            work();
            WELL
        } else {
            1
        };
        // SAFETY: `exit` is the one way out that strict mode allows; it ends this thread, which is the only one.
        unsafe { libc::syscall(libc::SYS_exit, code) };
    }
    let mut status = 0;
    // SAFETY: the child is ours, and `status` outlives the call.
    let waited = unsafe { libc::waitpid(child, &mut status, 0) };
    assert_eq!(waited, child);
    if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { -libc::WTERMSIG(status) }
}

fn main() -> ExitCode {
    // What a runner of tests asks, as the harness would answer.
    let args: Vec<String> = std::env::args().collect();
    if args.iter().any(|arg| arg == "--list") {
        if !args.iter().any(|arg| arg == "--ignored") {
            println!("no_command_makes_a_system_call_or_panics: test");
        }
        return ExitCode::SUCCESS;
    }
    let mut flows: Vec<_> = Mix::all().into_iter().map(|(name, mix)| (name, beats(&mix), mix.limits)).collect();
    flows.push(("patterns", patterns(), Mix::noise().limits));
    for (name, commands, limits) in &flows {
        let mut twin = Software::new(limits.clone());
        let mut queued = Queued::<Software>::new(limits.clone());
        let mut events = vec![Event::BLANK; 256];
        let mut lasts = 0;
        let code = alone(|| {
            commands.iter().for_each(|command| twin.execute(command, |event| lasts += usize::from(event.last)));
            let (mut sent, mut got) = (0, 0);
            while got < commands.len() {
                sent += queued.submit(&commands[sent..]);
                queued.announce(&commands[sent..]);
                let polled = queued.poll(&mut events);
                got += events[..polled].iter().filter(|event| event.last).count();
            }
            assert_eq!((lasts, sent), (commands.len(), commands.len()));
        });
        assert_eq!(code, WELL, "{name}: a command made a system call, or panicked");
        println!("{name}: {} commands, no system call, no panic", 2 * commands.len());
    }
    // The cage is closed: whoever asks for memory, or panics, does not come out.
    let asked = alone(|| drop(std::hint::black_box(vec![1u8; 1 << 30])));
    assert_eq!(asked, -libc::SIGKILL, "an allocation of fresh memory is a system call");
    let panicked = alone(|| assert!(std::hint::black_box(&flows).is_empty()));
    assert_ne!(panicked, WELL, "a panic does not pass for an end");
    println!("the cage is closed");
    ExitCode::SUCCESS
}
