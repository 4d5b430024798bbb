//! The examples of the library do what they say.

use std::{process::Command, time::Instant};

use moim_e2e::{
    BootstrapNode, Output, PATIENCE, Process, Signal, Terminal, Transport, example_binary, run,
    topic,
};

fn example(name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(example_binary(name));
    command.args(arguments);
    command
}

/// Waits for a line.
fn prints(process: &Process, from: Output, is: impl Fn(&str) -> bool) -> String {
    let picked = process.pick_line(0, Instant::now() + PATIENCE, |_, line| {
        (line.from == from && is(&line.text)).then(|| line.text.clone())
    });
    picked.unwrap_or_else(|| panic!("{} does not say it: {:?}", process.name(), process.lines()))
}

#[test]
fn the_counter_counts_the_bot_answers_and_who_names_them() {
    let node = BootstrapNode::start();
    let bootstrap = node.url();
    let topic = topic("examples");
    let arguments = [bootstrap.as_str(), topic.as_str()];
    let mut counter = Process::start("counter", &mut example("counter", &arguments));
    prints(&counter, Output::Stdout, |line| line == "1");
    let mut bot = Process::start("bot", &mut example("bot", &arguments));
    prints(&counter, Output::Stdout, |line| line == "2");
    let mut ada = Terminal::join(&topic, "Ada", node.address(Transport::Tcp));
    prints(&counter, Output::Stdout, |line| line == "3");

    let (status, who) = run("who", &mut example("who", &arguments), PATIENCE);
    assert!(status.success(), "{status}");
    let mut names: Vec<String> = who
        .text(Output::Stdout)
        .lines()
        .filter_map(|line| line.split_once(' ').map(|(_, name)| name.to_owned()))
        .collect();
    names.sort();
    assert_eq!(names, ["Ada", "Counter", "Echo bot"]);

    ada.say("!echo hello");
    ada.wait("the bot's answer", PATIENCE, |event| {
        event.kind() == "room_message"
            && event.text("name") == "Echo bot"
            && event.text("text") == "hello"
    });
    bot.signal(Signal::Interrupt);
    assert!(bot.wait(PATIENCE).success());
    ada.wait("that the bot leaves", PATIENCE, |event| {
        event.kind() == "member_left" && event.text("reason") == "left"
    });
    counter.signal(Signal::Interrupt);
    assert!(counter.wait(PATIENCE).success());
}

#[test]
fn what_goes_into_one_end_of_the_pipe_comes_out_at_the_other() {
    let node = BootstrapNode::start();
    let bootstrap = node.url();
    let mut waiting = Process::start("pipe", &mut example("pipe", &[&bootstrap]));
    let id = prints(&waiting, Output::Stderr, |line| {
        line.starts_with("12D3KooW")
    });
    let mut calling = Process::start("pipe to it", &mut example("pipe", &[&bootstrap, &id]));
    prints(&waiting, Output::Stderr, |line| line.starts_with("with "));
    calling.write(b"hello\n");
    prints(&waiting, Output::Stdout, |line| line == "hello");
    waiting.write(b"hello yourself\n");
    prints(&calling, Output::Stdout, |line| line == "hello yourself");
    // Each half ends by itself.
    calling.close_input();
    waiting.write(b"bye\n");
    prints(&calling, Output::Stdout, |line| line == "bye");
    waiting.close_input();
    assert!(calling.wait(PATIENCE).success());
    assert!(waiting.wait(PATIENCE).success());
}
