//! From the bytes of a component to compiled code, in a child process.
//!
//! A compiler fed by a stranger may panic, loop or eat all memory; wasmtime says so and calls none of it a
//! vulnerability. So a child process compiles, with limited processor time and memory, an empty environment and
//! nothing but its standard input and one file; whatever happens to it, the host goes on. What is refused
//! without compiling is refused first: the size, and bytes that are not a component.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::PluginLoadError;
use super::limits::Limits;
use super::text::clean;

/// The exit code of a child that found the component at fault.
const REFUSED: u8 = 3;
/// The most that the child may say.
const MESSAGE_BYTES_MAX: u64 = 64 << 10;
/// The child may take this many times its processor time, at least 10 s, before it is taken for stuck.
const PATIENCE: u64 = 10;

/// Refuses what cannot be a component, by its size and first bytes.
pub(super) fn check_bytes(wasm: &[u8], limits: &Limits) -> Result<(), PluginLoadError> {
    if wasm.len() as u64 > limits.component_bytes {
        return Err(PluginLoadError::TooLarge { found: wasm.len() as u64, most: limits.component_bytes });
    }
    let found = match wasm {
        [0, b'a', b's', b'm', 0x0d, 0, 1, 0, ..] => return Ok(()),
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => "a core module",
        [0, b'a', b's', b'm', ..] => "WebAssembly of an unknown version",
        [0x7f, b'E', b'L', b'F', ..] => "native or compiled code",
        [] => "no bytes at all",
        _ if wasm.trim_ascii_start().starts_with(b"(") => "WebAssembly text",
        _ => "something that is not WebAssembly",
    };
    Err(PluginLoadError::NotAComponent { found })
}

/// Compiles `wasm` by running `compiler`, which must call [`compile_child`]; `output` is a file that it may write.
pub(super) fn compile(
    compiler: &[OsString],
    wasm: &[u8],
    output: &Path,
    limits: &Limits,
) -> Result<Vec<u8>, PluginLoadError> {
    let run = || -> io::Result<Result<Vec<u8>, PluginLoadError>> {
        let (program, arguments) = compiler.split_first().ok_or(io::ErrorKind::NotFound)?;
        let mut child = Command::new(program)
            .args(arguments)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let (status, message) = attend(&mut child, wasm, output, limits)?;
        Ok(match status.code() {
            Some(0) => Ok(fs::read(output)?),
            _ => Err(failed(status, &message, limits)),
        })
    };
    let result = run().unwrap_or_else(|source| Err(PluginLoadError::Compiler { source }));
    // It is missing where the child failed.
    drop(fs::remove_file(output));
    result
}

/// Feeds the child and waits for it; gives its exit status and what it said.
fn attend(child: &mut Child, wasm: &[u8], output: &Path, limits: &Limits) -> io::Result<(ExitStatus, String)> {
    let mut input = child.stdin.take().expect("stdin is piped: the caller says so");
    let errors = child.stderr.take().expect("stderr is piped: the caller says so");
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let path = output.as_os_str().as_bytes();
            let mut header = Vec::with_capacity(24 + path.len());
            for number in [limits.compile_seconds, limits.compile_memory_bytes, path.len() as u64] {
                header.extend_from_slice(&number.to_le_bytes());
            }
            header.extend_from_slice(path);
            // A child that died early closes the pipe; its exit status says why.
            drop(input.write_all(&header).and_then(|()| input.write_all(wasm)));
        });
        let message = scope.spawn(move || {
            let mut message = Vec::new();
            // What was read until an error is all there is to say.
            drop(errors.take(MESSAGE_BYTES_MAX).read_to_end(&mut message));
            String::from_utf8_lossy(&message).into_owned()
        });
        let patience = Duration::from_secs(limits.compile_seconds.max(1).saturating_mul(PATIENCE));
        let started = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if started.elapsed() > patience {
                child.kill()?;
                break child.wait()?;
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        Ok((status, message.join().expect("reading does not panic")))
    })
}

/// Why a child that exited with `status` gave no code.
fn failed(status: ExitStatus, message: &str, limits: &Limits) -> PluginLoadError {
    const SIGABRT: i32 = 6;
    const SIGSEGV: i32 = 11;
    const SIGKILL: i32 = 9;
    const SIGXCPU: i32 = 24;
    let message = message.trim();
    match (status.code(), status.signal()) {
        (Some(code), _) if code == i32::from(REFUSED) => PluginLoadError::Invalid { message: clean(message) },
        (_, Some(SIGXCPU | SIGKILL)) => PluginLoadError::CompileSeconds { most: limits.compile_seconds },
        (_, Some(SIGABRT)) if message.contains("memory allocation of") => {
            PluginLoadError::CompileMemory { most: limits.compile_memory_bytes }
        }
        // A stack that cannot grow under the limit. A compiler that crashes otherwise does so with more memory too.
        (_, Some(SIGSEGV)) => PluginLoadError::CompileMemory { most: limits.compile_memory_bytes },
        _ => {
            let last = message.lines().next_back().unwrap_or_default();
            PluginLoadError::CompilerDied { status: status.to_string(), message: clean(last) }
        }
    }
}

/// What the child process does: reads a component from standard input and compiles it into a file.
///
/// The program named in [`super::EngineSettings::compiler`] calls this and exits with the code it returns. It is
/// not meant to be run by hand: the input starts with limits and a path that only the host writes.
pub fn compile_child() -> ExitCode {
    let (code, message) = match compile_input() {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Refusal::Component(error)) => (REFUSED, format!("{error:#}")),
        Err(Refusal::Io(error)) => (1, error.to_string()),
    };
    // Nobody listens where the host is gone.
    drop(writeln!(io::stderr(), "{message}"));
    ExitCode::from(code)
}

enum Refusal {
    Component(wasmtime::Error),
    Io(io::Error),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn compile_input() -> Result<(), Refusal> {
    let mut input = io::stdin().lock();
    let mut number = || -> io::Result<u64> {
        let mut bytes = [0; 8];
        input.read_exact(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    };
    let (seconds, memory, path) = (number()?, number()?, number()?);
    let mut output = vec![0; path as usize];
    input.read_exact(&mut output)?;
    let output = PathBuf::from(OsString::from_vec(output));
    let mut wasm = Vec::new();
    input.read_to_end(&mut wasm)?;

    rlimit::setrlimit(rlimit::Resource::CORE, 0, 0)?;
    // The soft limit sends SIGXCPU, which nobody catches.
    rlimit::setrlimit(rlimit::Resource::CPU, seconds, seconds.saturating_add(1))?;
    rlimit::setrlimit(rlimit::Resource::AS, memory, memory)?;
    let engine = wasmtime::Engine::new(&super::engine::config()).map_err(Refusal::Component)?;
    let code = engine.precompile_component(&wasm).map_err(Refusal::Component)?;
    fs::OpenOptions::new().write(true).create_new(true).open(&output)?.write_all(&code)?;
    Ok(())
}
