//! Both ways to the wasm target: the decision as a table, and the whole with stand-ins for rustup,
//! apt and Debian's compiler in the path.

use super::*;
use crate::stand_in::StandIn;

fn facts(change: impl FnOnce(&mut Facts)) -> Facts {
    // A common machine: Debian with rustup, without the target.
    let mut facts = Facts {
        rustup: true,
        apt: true,
        ..Facts::default()
    };
    change(&mut facts);
    facts
}

fn failed() -> Option<String> {
    Some("no network".to_owned())
}

#[test]
fn rustup_is_tried_first_and_debian_when_it_fails() {
    let check = |facts: Facts, expected: Next| assert_eq!(decide(Route::Auto, &facts), expected);
    check(facts(|_| {}), Next::TryRustup);
    check(
        facts(|f| f.default_works = true),
        Next::Use(Toolchain::Default),
    );
    check(
        facts(|f| f.linked_works = true),
        Next::Use(Toolchain::Linked),
    );
    check(facts(|f| f.rustup_tried = failed()), Next::TryDebian);
    check(facts(|f| f.rustup = false), Next::TryDebian);
    check(
        facts(|f| {
            f.rustup_tried = failed();
            f.debian_tried = true;
            f.linked_works = true;
        }),
        Next::Use(Toolchain::Linked),
    );
}

#[test]
fn a_chosen_route_is_kept_to() {
    let with_both = facts(|f| {
        f.default_works = true;
        f.linked_works = true;
    });
    assert_eq!(
        decide(Route::Debian, &with_both),
        Next::Use(Toolchain::Linked)
    );
    assert_eq!(
        decide(Route::Rustup, &with_both),
        Next::Use(Toolchain::Default)
    );
    assert_eq!(
        decide(Route::Debian, &facts(|f| f.default_works = true)),
        Next::TryDebian
    );
    // Debian's compiler is the one in use anyway.
    let debian_only = facts(|f| {
        f.rustup = false;
        f.default_works = true;
    });
    assert_eq!(
        decide(Route::Debian, &debian_only),
        Next::Use(Toolchain::Default)
    );
}

#[test]
fn debian_is_taken_only_when_asked_for() {
    let check =
        |facts: Facts, expected: Next| assert_eq!(decide(Route::default(), &facts), expected);
    check(facts(|_| {}), Next::TryRustup);
    // It was asked for before; taking it again changes nothing.
    check(
        facts(|f| f.linked_works = true),
        Next::Use(Toolchain::Linked),
    );
    for facts in [
        facts(|f| f.rustup = false),
        facts(|f| f.rustup_tried = failed()),
    ] {
        let next = decide(Route::default(), &facts);
        assert!(matches!(next, Next::GiveUp(_)), "{next:?}");
    }
}

#[test]
fn a_dead_end_says_what_was_tried_and_what_to_do() {
    let check = |route, facts: Facts, mentions: &[&str]| match decide(route, &facts) {
        Next::GiveUp(reason) => {
            for mention in mentions {
                assert!(reason.contains(mention), "{reason}");
            }
        }
        other => panic!("{other:?}"),
    };
    let tried = facts(|f| {
        f.rustup_tried = failed();
        f.apt = false;
    });
    check(
        Route::Auto,
        tried.clone(),
        &["no network", "no Debian", "rustup target add"],
    );
    check(
        Route::Rustup,
        facts(|f| f.rustup_tried = failed()),
        &[
            "no network",
            "--wasm-route auto",
            "MOIM_WASM_ROUTE=auto",
            "/usr",
        ],
    );
    check(
        Route::Auto,
        facts(|f| *f = Facts::default()),
        &["no rustup", "no Debian"],
    );
    check(
        Route::Debian,
        facts(|f| f.debian_tried = true),
        &["still do not compile"],
    );
}

/// A machine of shell scripts. `rustup target add` succeeds when `online` exists.
struct Fake(StandIn);

impl Fake {
    fn new() -> Self {
        let fake = StandIn::new();
        fs::write(
            fake.path("Cargo.toml"),
            "[workspace.package]\nrust-version = \"1.95\"\n",
        )
        .unwrap();
        fake.script(
            "bin/rustup",
            "case \"$*\" in\n\
             'target add wasm32-unknown-unknown')\n\
               if [ -e $ROOT/online ]; then touch $ROOT/target-added; exit 0; fi\n\
               echo 'error: could not download file' >&2; exit 1;;\n\
             \"toolchain link moim-wasm $ROOT/usr\") touch $ROOT/linked;;\n\
             *) exit 1;;\nesac",
        );
        // As rustup's own rustc: it looks at RUSTUP_TOOLCHAIN.
        fake.script(
            "bin/rustc",
            "if [ \"$RUSTUP_TOOLCHAIN\" = moim-wasm ]; then\n\
               [ -e $ROOT/linked ] || exit 1\n  exec $ROOT/usr/bin/rustc \"$@\"\nfi\n\
             case \"$1\" in --version) echo 'rustc 1.95.0';; *) [ -e $ROOT/target-added ];; esac",
        );
        fake.script(
            "bin/dpkg-query",
            "[ -e $ROOT/packages/$4 ] && echo -n installed",
        );
        fake.script(
            "bin/apt-cache",
            "echo '  Candidate: 1.96.0+dfsg1-1~deb12u2'",
        );
        fake.script(
            "bin/apt-get",
            "while [ $# -gt 0 ]; do case \"$1\" in install) shift; break;; esac; shift; done\n\
             mkdir -p $ROOT/packages\n\
             for name in \"$@\"; do case \"$name\" in -*) ;; *) touch $ROOT/packages/$name;; esac; done\n\
             [ -e $ROOT/packages/rustc-web ] && cp $ROOT/debian-rustc $ROOT/usr/bin/rustc\n\
             [ -e $ROOT/packages/cargo-web ] && cp $ROOT/debian-cargo $ROOT/usr/bin/cargo\n\
             [ -e $ROOT/packages/rust-web-clippy ] && touch $ROOT/usr/bin/clippy-driver\n\
             if [ -e $ROOT/packages/lld-22 ]; then\n\
               mkdir -p $ROOT/usr/lib/llvm-22/bin; touch $ROOT/usr/lib/llvm-22/bin/lld; fi\n\
             exit 0",
        );
        // Compiles for wasm when both the standard library and the linker are in place.
        fake.script(
            "debian-rustc",
            "case \"$1\" in\n\
             -vV) printf 'release: 1.96.0\\nhost: x86_64-unknown-linux-gnu\\nLLVM version: 22.1.8\\n';;\n\
             --version) echo 'rustc 1.96.0';;\n\
             *) [ -e $ROOT/usr/lib/rustlib/wasm32-unknown-unknown/lib/libstd-1.rlib ] &&\n\
                [ -e $ROOT/usr/lib/rustlib/x86_64-unknown-linux-gnu/bin/rust-lld ];;\nesac",
        );
        fake.script(
            "debian-cargo",
            "[ \"$RUSTC_BOOTSTRAP\" = 1 ] || exit 1\n\
             deps=$CARGO_TARGET_DIR/wasm32-unknown-unknown/release/deps\n\
             mkdir -p $deps; touch $deps/libstd-1.rlib $deps/libmoim_wasm_std-2.rlib",
        );
        Self(fake)
    }

    /// What was called since the last time, without the looking around.
    fn calls(&self) -> Vec<String> {
        self.0
            .calls(&["rustc ", "dpkg-query ", "apt-cache ", "debian-rustc "])
    }

    fn ensure(&self, route: Route) -> Result<Toolchain> {
        // The scripts write into their own folder only, so nobody needs special rights.
        ensure_with(&self.0.project, route, Rights::Root)
    }
}

#[test]
fn where_rustup_can_download_it_adds_the_target() {
    let fake = Fake::new();
    fake.0.touch("online");
    assert_eq!(fake.ensure(Route::Auto).unwrap(), Toolchain::Default);
    assert_eq!(fake.calls(), ["rustup target add wasm32-unknown-unknown"]);
    // The second time there is nothing to do.
    assert_eq!(fake.ensure(Route::Auto).unwrap(), Toolchain::Default);
    assert!(fake.calls().is_empty());
}

#[test]
fn where_rustup_cannot_debians_packages_are_taken() {
    let fake = Fake::new();
    assert_eq!(fake.ensure(Route::Auto).unwrap(), Toolchain::Linked);
    let apt = "apt-get -o DPkg::Lock::Timeout=300 -q install --yes --no-install-recommends \
               --no-remove";
    assert_eq!(
        fake.calls(),
        [
            "rustup target add wasm32-unknown-unknown".to_owned(),
            format!("{apt} rustc-web cargo-web rust-web-src rust-web-clippy"),
            format!("{apt} lld-22"),
            "debian-cargo build --release --target wasm32-unknown-unknown \
             -Z build-std=std,panic_abort,test"
                .to_owned(),
            "rustup toolchain link moim-wasm /usr".to_owned(),
        ]
    );
    let library = "usr/lib/rustlib/wasm32-unknown-unknown/lib";
    assert!(fake.0.exists(&format!("{library}/libstd-1.rlib")));
    assert!(
        !fake.0.exists(&format!("{library}/libmoim_wasm_std-2.rlib")),
        "the scratch crate stays"
    );
    // The second time there is nothing to do, and rustup is not asked again.
    assert_eq!(fake.ensure(Route::Auto).unwrap(), Toolchain::Linked);
    assert!(fake.calls().is_empty());
}

#[test]
fn a_debian_route_that_broke_off_goes_on_where_it_stopped() {
    let fake = Fake::new();
    fake.ensure(Route::Debian).unwrap();
    fake.calls();
    fs::remove_file(fake.0.path("linked")).unwrap();
    assert_eq!(fake.ensure(Route::Debian).unwrap(), Toolchain::Linked);
    assert_eq!(fake.calls(), ["rustup toolchain link moim-wasm /usr"]);
    // Debian's compiler was upgraded: its old library is ours to replace.
    let library = fake.0.path("usr/lib/rustlib/wasm32-unknown-unknown/lib");
    fs::rename(library.join("libstd-1.rlib"), library.join("libstd-0.rlib")).unwrap();
    assert_eq!(fake.ensure(Route::Debian).unwrap(), Toolchain::Linked);
    assert!(!library.join("libstd-0.rlib").exists());
}

#[test]
fn the_system_is_left_alone_unless_somebody_asks() {
    let fake = Fake::new();
    let error = fake.ensure(Route::default()).unwrap_err().to_string();
    assert!(
        error.contains("could not download file") && error.contains("--wasm-route"),
        "{error}"
    );
    assert_eq!(fake.calls(), ["rustup target add wasm32-unknown-unknown"]);
}

#[test]
fn without_rights_the_command_to_run_is_named() {
    let fake = Fake::new();
    let error = ensure_with(&fake.0.project, Route::Auto, Rights::None)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("apt-get install") && error.contains("rustc-web"),
        "{error}"
    );
    assert!(!fake.0.exists("packages"), "nothing was installed");
}

#[test]
fn without_apt_the_reason_of_rustup_is_shown() {
    let mut fake = Fake::new();
    // Only what the stand-ins themselves need.
    fake.0.project.machine.path = vec![fake.0.path("bin")];
    for program in ["apt-get", "apt-cache"] {
        fs::remove_file(fake.0.path("bin").join(program)).unwrap();
    }
    let error = fake.ensure(Route::Auto).unwrap_err().to_string();
    assert!(
        error.contains("could not download file") && error.contains("no Debian"),
        "{error}"
    );
}
