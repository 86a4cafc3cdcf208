//! The scripts, what they are asked, and how they answer.

use std::sync::LazyLock;

use redis::{Cmd, Script, Value, cmd};

pub static RESERVE: LazyLock<Source> =
    LazyLock::new(|| Source::new(concat!(include_str!("common.lua"), include_str!("reserve.lua"))));
pub static APPLY: LazyLock<Source> =
    LazyLock::new(|| Source::new(concat!(include_str!("common.lua"), include_str!("apply.lua"))));
pub static BEAT: LazyLock<Source> = LazyLock::new(|| Source::new(include_str!("beat.lua")));

#[derive(Debug)]
pub struct Source {
    text: String,
    sha: String,
}

/// One run of a script.
#[derive(Debug)]
pub struct Call {
    pub script: &'static Source,
    pub keys: Vec<String>,
    pub args: Vec<String>,
}

impl Source {
    pub fn new(text: &str) -> Self {
        Self { text: text.to_owned(), sha: Script::new(text).get_hash().to_owned() }
    }
}

impl Call {
    pub fn new(script: &'static Source) -> Self {
        Self { script, keys: Vec::with_capacity(8), args: Vec::with_capacity(32) }
    }

    pub fn key(&mut self, key: String) {
        self.keys.push(key);
    }

    pub fn keys(&mut self, keys: impl IntoIterator<Item = String>) {
        self.keys.extend(keys);
    }

    pub fn arg(&mut self, arg: impl ToString) {
        self.args([arg]);
    }

    pub fn args(&mut self, args: impl IntoIterator<Item = impl ToString>) {
        self.args.extend(args.into_iter().map(|arg| arg.to_string()));
    }

    /// By the script's hash.
    pub fn short(&self) -> Cmd {
        self.command("EVALSHA", &self.script.sha)
    }

    /// With the script itself, which the server then keeps.
    pub fn long(&self) -> Cmd {
        self.command("EVAL", &self.script.text)
    }

    fn command(&self, name: &str, script: &str) -> Cmd {
        let mut command = cmd(name);
        command.arg(script).arg(self.keys.len()).arg(&self.keys).arg(&self.args);
        command
    }
}

/// The whole numbers of an answer, one after the other.
#[derive(Debug)]
pub struct Numbers(std::vec::IntoIter<Value>);

impl Numbers {
    /// `None` where the answer is no list.
    pub fn of(answer: Value) -> Option<Self> {
        match answer {
            Value::Array(values) => Some(Self(values.into_iter())),
            _ => None,
        }
    }

    pub fn signed(&mut self) -> Option<i64> {
        match self.0.next()? {
            Value::Int(number) => Some(number),
            _ => None,
        }
    }

    pub fn number(&mut self) -> Option<u64> {
        self.signed().and_then(|number| u64::try_from(number).ok())
    }

    pub fn flag(&mut self) -> Option<bool> {
        self.signed().map(|number| number == 1)
    }
}
