//! A machine for tests: its programs are shell scripts, and every call of one is noted.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::{machine::Machine, project::Project};

/// Everything lies in one folder, which the scripts know as `$ROOT`.
pub(crate) struct StandIn {
    folder: TempDir,
    pub(crate) project: Project,
}

impl StandIn {
    /// A machine with the system's own small programs only.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for path in ["bin", "usr/bin", "target"] {
            fs::create_dir_all(root.join(path)).unwrap();
        }
        let machine = Machine {
            path: [root.join("bin"), "/usr/bin".into(), "/bin".into()].into(),
            prefix: root.join("usr"),
        };
        let project = Project {
            root: root.to_owned(),
            target: root.join("target"),
            machine,
        };
        Self { folder, project }
    }

    /// Writes a program.
    pub(crate) fn script(&self, file: &str, body: &str) {
        let path = self.path(file);
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = format!(
            "#!/bin/sh\nROOT={0}\necho \"{name} $*\" >> {0}/calls\n{body}\n",
            self.folder.path().display()
        );
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    pub(crate) fn touch(&self, file: &str) {
        fs::write(self.path(file), "").unwrap();
    }

    pub(crate) fn exists(&self, file: &str) -> bool {
        self.path(file).exists()
    }

    /// What was called since the last time, without calls that begin like one of `looks`.
    pub(crate) fn calls(&self, looks: &[&str]) -> Vec<String> {
        let file = self.path("calls");
        let calls = fs::read_to_string(&file).unwrap_or_default();
        let _absent = fs::remove_file(&file);
        let root = Path::display(self.folder.path()).to_string();
        calls
            .lines()
            .filter(|line| !looks.iter().any(|look| line.starts_with(look)))
            .map(|line| line.replace(&root, ""))
            .collect()
    }
}
