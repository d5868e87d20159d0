//! The recorder, driven from outside: by seeds in a simulated world, and with a real disk.

mod object;
mod simulation;
mod world;
