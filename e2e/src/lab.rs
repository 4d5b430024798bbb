//! Networks of the tests' own: Linux's network namespaces, which need root.

use std::{
    fs,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

/// How often a new namespace is looked for.
const POLL: Duration = Duration::from_millis(5);

/// A machine with a network of its own: a namespace without a name, held by a process that does nothing,
/// so that nothing is left of it. Dropped: gone.
#[derive(Debug)]
pub struct Place(Child);

impl Place {
    /// A machine without any network but loopback; `None` where none can be made.
    pub fn new() -> Option<Self> {
        let ours = fs::read_link("/proc/self/ns/net").ok()?;
        let mut holder = Command::new("unshare");
        holder.args(["--net", "sleep", "infinity"]);
        holder.stderr(Stdio::null());
        let mut place = Self(holder.spawn().ok()?);
        // `unshare` is `sleep` a moment after it has made the namespace.
        let theirs = format!("/proc/{}/ns/net", place.0.id());
        while fs::read_link(&theirs).is_ok_and(|theirs| theirs == ours) {
            if !matches!(place.0.try_wait(), Ok(None)) {
                return None;
            }
            thread::park_timeout(POLL);
        }
        place.run("ip link set lo up");
        Some(place)
    }

    /// What runs `program` there.
    pub fn enter(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--target={}", self.0.id()));
        command.arg("--net").arg(program);
        command
    }

    /// Runs a line of shell there.
    ///
    /// # Panics
    /// If it fails.
    pub fn run(&self, line: &str) {
        let status = self.enter("sh").args(["-ec", line]).status();
        assert!(
            status.as_ref().is_ok_and(std::process::ExitStatus::success),
            "`{line}` failed: {status:?}"
        );
    }

    /// Lays a cable from here to another place. Its ends are called `name`, and `to` over there; both are
    /// down.
    ///
    /// # Panics
    /// If that is not possible.
    pub fn link(&self, name: &str, other: &Self, to: &str) {
        let pid = other.0.id();
        self.run(&format!(
            "ip link add {name} type veth peer name {to} netns {pid}"
        ));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Either fails only if it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
