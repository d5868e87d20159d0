//! One script's interpreter: an isolated runtime with a limit of memory, and calls with a limit of time.
//!
//! The dialect is sloppy mode as people's scripts need it (implicit globals, octal escapes, `arguments`), and all of
//! ES2023 for new ones.

mod fault;
mod guard;

pub(crate) use fault::{Fault, FaultKind, PRELUDE, text, whole};
pub(crate) use guard::Guard;

use rquickjs::context::EvalOptions;
use rquickjs::{Context, Ctx, Runtime, Value};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

/// Depth of calls that a script may reach, as bytes of the thread's stack.
const STACK: usize = 1 << 20;

/// Bytes that a script may allocate before cycles are looked for.
const COLLECT_AT: usize = 4 << 20;

/// An interpreter with nothing in it but the language.
pub(crate) struct Engine {
    context: Context,
    runtime: Runtime,
    guard: Rc<Guard>,
    /// Bytes that it may hold.
    limit: usize,
    spoiled: Cell<bool>,
}

impl Engine {
    /// A fresh interpreter that may hold so many bytes.
    pub(crate) fn new(memory: usize) -> Result<Engine, Fault> {
        let none = |_| Fault::plain(FaultKind::Memory, "no memory for another interpreter");
        let runtime = Runtime::new().map_err(none)?;
        runtime.set_memory_limit(memory);
        runtime.set_max_stack_size(STACK);
        runtime.set_gc_threshold(COLLECT_AT);
        let guard = Rc::new(Guard::default());
        let watch = Rc::clone(&guard);
        runtime.set_interrupt_handler(Some(Box::new(move || watch.is_over())));
        let context = Context::full(&runtime).map_err(none)?;
        Ok(Engine {
            context,
            runtime,
            guard,
            limit: memory,
            spoiled: Cell::new(false),
        })
    }

    /// What bounds the time of its calls.
    pub(crate) fn guard(&self) -> &Rc<Guard> {
        &self.guard
    }

    /// Bytes that it holds now.
    pub(crate) fn memory(&self) -> usize {
        usize::try_from(self.runtime.memory_usage().malloc_size).unwrap_or_default()
    }

    /// Runs `inside` in the interpreter, for at most a time of the script's own.
    pub(crate) fn enter<T>(
        &self,
        limit: Duration,
        inside: impl for<'js> FnOnce(&Ctx<'js>) -> rquickjs::Result<T>,
    ) -> Result<T, Fault> {
        self.guard.begin(limit);
        let done = self.context.with(|ctx| {
            let done = inside(&ctx).map_err(|error| Fault::caught(&ctx, error));
            let settled = self.settle(&ctx);
            done.and_then(|value| settled.map(|()| value))
        });
        let over = self.guard.was_over();
        self.guard.end();
        done.map_err(|fault| self.of_limit(fault, over))
    }

    /// Whether it can't go on: promises that settle each other without end wait in it, or its memory is full.
    pub(crate) fn is_spoiled(&self) -> bool {
        self.spoiled.get()
    }

    /// Runs a whole text, top to bottom. `file` is what its errors name.
    pub(crate) fn run(&self, file: &str, text: &str, limit: Duration) -> Result<(), Fault> {
        self.enter(limit, |ctx| {
            let mut options = EvalOptions::default();
            options.strict = false;
            options.filename = Some(file.to_owned());
            ctx.eval_with_options::<Value<'_>, _>(text, options)
                .map(drop)
        })
    }

    /// Looks for syntax errors without running anything.
    pub(crate) fn check(&self, file: &str, text: &str) -> Result<(), Fault> {
        // A function's body is parsed and not run; the text keeps its lines. What can't stand in a function (a stray
        // brace) is looked for by the second one.
        let probe = format!("if (false) {{{text}\n}}");
        let limit = Duration::from_secs(10);
        match self.run(file, &probe, limit) {
            Err(fault) if fault.kind == FaultKind::Syntax => {
                // with the places of the text itself, and only where it fails there too
                let stop = format!("throw 0;{text}");
                match self.run(file, &stop, limit) {
                    Err(fault) if fault.kind == FaultKind::Syntax => Err(fault.moved(-8)),
                    _ => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    /// Lets promises go on.
    fn settle(&self, ctx: &Ctx<'_>) -> Result<(), Fault> {
        while ctx.execute_pending_job() {
            if self.guard.was_over() || self.guard.is_over() {
                self.spoiled.set(true);
                return Err(Fault::time(self.guard.limit()));
            }
        }
        Ok(())
    }

    /// The limit that a fault comes from, where it does.
    fn of_limit(&self, fault: Fault, over: bool) -> Fault {
        if over {
            return Fault::time(self.guard.limit());
        }
        // what is thrown where nothing can be allocated any more is null
        let exhausted = fault.text.contains("out of memory") || fault.text == "null";
        if exhausted && self.memory() > self.limit / 4 {
            self.spoiled.set(true);
            return Fault::memory(self.limit);
        }
        fault
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(200);

    fn run(text: &str) -> Result<(), Fault> {
        Engine::new(16 << 20)?.run("test.js", text, LIMIT)
    }

    #[test]
    fn the_dialect_of_published_scripts_runs() {
        run(concat!(
            "later(); function later() { implicit = 1; }\n",
            "var octal = \"\\033[34m\"; if (octal.charCodeAt(0) !== 27) throw 'octal';\n",
            "var raw = \"\u{1b}[0m\", mu = \"µ\";\n",
            "var file = { delete: function () { return 1; } }; if (file.delete() !== 1) throw 'word';\n",
            "if (typeof Date() !== 'string') throw 'Date';\n",
            "if (typeof 'x'.toLocaleString() !== 'string' || typeof new Date().toLocaleString() !== 'string') throw 'locale';\n",
            "for (var k in true) throw 'boolean'; for (var i in [1]) {} for (var i in [2]) {}\n",
            "if ((true & 'x') !== 0) throw 'bits';\n",
            "var o = { a: 1, b: [1, 2,], }; delete o.a; if ('a' in o || !o.hasOwnProperty('b')) throw 'in';\n",
            "var order = ''; var m = { z: 1, a: 2 }; for (var k in m) order += k; if (order !== 'za') throw order;\n",
            "try { throw 'text'; } catch (e) { if (e !== 'text') throw 'catch'; }\n",
            "if (implicit !== 1 || 'GET /'.match('GET')[0] !== 'GET') throw 'match';\n",
            "switch ((1.25).toFixed(1)) { case '1.3': case '1.2': break; default: throw 'fixed'; }\n",
            "with (o) { if (b.length !== 2) throw 'with'; }\n",
            "(function () { 'use strict'; var fine = /* a comment before it */ 1; })();\n",
        ))
        .unwrap();
    }

    #[test]
    fn es2023_runs() {
        run(concat!(
            "class A { #x = 1; get x() { return this.#x; } } const { x } = new A(); let s = `v${x}`;\n",
            "if ([3, 1, 2].toSorted().at(-1) !== 3 || s !== 'v1' || (null ?? 1) !== 1) throw 'es';\n",
            "globalThis.done = 0; (async () => { await null; done = 1; })();\n",
        ))
        .unwrap();
    }

    #[test]
    fn syntax_errors_have_file_line_and_column() {
        let fault = run("var a = 1;\nvar b = ;\n").unwrap_err();
        assert_eq!(fault.kind, FaultKind::Syntax);
        let place = fault.place.clone().unwrap();
        assert_eq!((place.file.as_str(), place.line), ("test.js", 2), "{fault}");
        assert!(
            place.column > 0 && fault.to_string().starts_with("SyntaxError: "),
            "{fault}"
        );
        let engine = Engine::new(16 << 20).unwrap();
        let found = engine
            .check("test.js", "var a = 1;\nvar b = ;\n")
            .unwrap_err();
        assert_eq!(found.place, fault.place);
        let first = engine.check("test.js", "var = 1").unwrap_err();
        assert_eq!(first.place, run("var = 1").unwrap_err().place);
        assert!(
            engine
                .check("test.js", "throw 'not run'; function a() {}")
                .is_ok()
        );
        assert!(engine.check("test.js", "if (true) return;").is_err());
        assert!(
            engine
                .check("test.js", "'use strict'; var x = 1; const y = 2; let z")
                .is_ok()
        );
    }

    #[test]
    fn a_throw_of_anything_is_a_fault_with_its_text() {
        for (text, says) in [
            ("throw 'plain text'", "plain text"),
            ("throw new TypeError('bad')", "TypeError: bad"),
            ("throw { a: 1 }", "[object Object]"),
            ("throw undefined", "undefined"),
            ("nothing.at.all", "ReferenceError: nothing is not defined"),
            (
                "throw { toString: function () { throw 1; } }",
                "an error that has no text",
            ),
        ] {
            let fault = run(text).unwrap_err();
            assert_eq!((fault.kind, fault.text.as_str()), (FaultKind::Throw, says));
        }
    }

    #[test]
    fn endless_loops_end_and_cannot_be_caught() {
        for text in [
            "while (true) {}",
            "try { while (true) {} } catch (e) { while (true) {} } finally { }",
            "/(a+)+$/.test('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!')",
            "(async function f() { while (true) await null; })()",
            "(function f() { return Promise.resolve().then(f); })()",
        ] {
            let engine = Engine::new(16 << 20).unwrap();
            let fault = engine.run("test.js", text, LIMIT).unwrap_err();
            assert_eq!(fault.kind, FaultKind::Time, "{text}: {fault}");
            assert!(engine.is_spoiled() || engine.run("test.js", "var fine = 1;", LIMIT).is_ok());
        }
    }

    #[test]
    fn endless_allocation_and_recursion_end() {
        let endless = "var a = []; while (true) a.push('x'.repeat(100000) + a.length);";
        let patience = Duration::from_secs(60);
        let engine = Engine::new(16 << 20).unwrap();
        let fault = engine.run("test.js", endless, patience).unwrap_err();
        assert_eq!(fault.kind, FaultKind::Memory, "{fault}");
        let fault = run("function f() { return f() + 1; } f()").unwrap_err();
        assert_eq!(fault.kind, FaultKind::Throw, "{fault}");
    }

    #[test]
    fn what_one_script_sets_no_other_sees() {
        let (one, other) = (
            Engine::new(16 << 20).unwrap(),
            Engine::new(16 << 20).unwrap(),
        );
        one.run("one.js", "shared = 1; this.top = 2;", LIMIT)
            .unwrap();
        other
            .run(
                "other.js",
                "if (typeof shared !== 'undefined' || typeof top !== 'undefined') throw 'seen';",
                LIMIT,
            )
            .unwrap();
    }
}
