//! The recordings at work in this process, for its API and its metrics.

use gillnet_api::{RecordingStatus, RecordingWindow};
use gillnet_entry::time::Rfc3339;
use gillnet_recorder::{RuleStatus, Status, Window};
use std::fmt::Write as _;

/// How each does at a moment (ns), for the API.
pub fn statuses(status: Status, now: i64) -> Vec<RecordingStatus> {
    let spool_bytes = status.spool_bytes;
    let rules = status.rules.into_iter();
    rules.map(|rule| shown(rule, spool_bytes, now)).collect()
}

fn shown(rule: RuleStatus, spool_bytes: u64, now: i64) -> RecordingStatus {
    let counters = rule.counters;
    RecordingStatus {
        rule: rule.name,
        kfl: rule.kfl,
        destination: rule.destination,
        state: rule.state.name().to_owned(),
        window: rule.window.map(|window| window_shown(&window, now)),
        recorded_packets: counters.recorded_packets,
        indexed_entries: counters.indexed_entries,
        last_upload: counters.last_upload.map(|at| Rfc3339(at).to_string()),
        spool_bytes,
        pending_objects: rule.pending_objects,
        pending_bytes: rule.pending_bytes,
        uploaded_objects: counters.uploaded_objects,
        uploaded_bytes: counters.uploaded_bytes,
        pruned_files: counters.pruned_files,
        pruned_bytes: counters.pruned_bytes,
        error: [
            counters.spool_fault,
            counters.fault,
            counters.retention_fault,
        ]
        .into_iter()
        .flatten()
        .next()
        .map(|fault| fault.message),
    }
}

fn window_shown(window: &Window, now: i64) -> RecordingWindow {
    let moment = |at: Option<i64>| at.map(|at| Rfc3339(at).to_string());
    RecordingWindow {
        from: moment(window.from),
        until: moment(window.until),
        progress: progress(window, now),
        number: window.number,
        of: window.of,
    }
}

/// How much of a window is over, from 0 to 1, where it has both ends.
#[allow(clippy::cast_precision_loss)] // a share
fn progress(window: &Window, now: i64) -> Option<f64> {
    let (from, until) = (window.from?, window.until?);
    let (passed, whole) = (now.saturating_sub(from), until.saturating_sub(from));
    (whole > 0).then(|| (passed as f64 / whole as f64).clamp(0.0, 1.0))
}

/// What a rule does now, in a few words.
pub fn stands(rule: &RuleStatus) -> String {
    let moment = |at: Option<i64>| at.map(|at| Rfc3339(at).to_string());
    let window = rule.window.as_ref();
    let until = moment(window.and_then(|window| window.until));
    let from = moment(window.and_then(|window| window.from));
    match (rule.state.name(), from, until) {
        ("waiting", Some(from), _) => format!("waits until {from}"),
        ("recording", _, Some(until)) => format!("until {until}"),
        ("recording", ..) => "from now on".to_owned(),
        ("done", ..) => "is done: all its windows are over; remove it".to_owned(),
        ("expired", ..) => "has expired and records nothing; remove it".to_owned(),
        (other, ..) => other.to_owned(),
    }
}

/// How each does at a moment (ns), for Prometheus.
pub fn figures(status: &Status, now: i64, out: &mut String) {
    let label = |rule: &RuleStatus| {
        let name = rule.name.replace('\\', "\\\\").replace('"', "\\\"");
        format!("recording=\"{}\"", name.replace('\n', "\\n"))
    };
    let _ = writeln!(
        out,
        "# HELP gillnet_recording_state What each recording does\n# TYPE gillnet_recording_state gauge"
    );
    for rule in &status.rules {
        let (label, state) = (label(rule), rule.state.name());
        let _ = writeln!(
            out,
            "gillnet_recording_state{{{label},state=\"{state}\"}} 1"
        );
    }
    let _ = writeln!(
        out,
        "# HELP gillnet_recording_window_progress How much of its window is over, from 0 to 1\n# TYPE gillnet_recording_window_progress gauge"
    );
    for rule in &status.rules {
        if let Some(share) = rule.window.as_ref().and_then(|w| progress(w, now)) {
            let label = label(rule);
            let _ = writeln!(out, "gillnet_recording_window_progress{{{label}}} {share}");
        }
    }
    type Figure = (
        &'static str,
        &'static str,
        &'static str,
        fn(&RuleStatus) -> u64,
    );
    let each: [Figure; 10] = [
        ("packets_total", "counter", "Frames recorded", |r| {
            r.counters.recorded_packets
        }),
        (
            "entries_total",
            "counter",
            "Entries in the index of what was sealed",
            |r| r.counters.indexed_entries,
        ),
        (
            "uploaded_objects_total",
            "counter",
            "Objects that are in the bucket",
            |r| r.counters.uploaded_objects,
        ),
        (
            "uploaded_bytes_total",
            "counter",
            "Bytes put into the bucket",
            |r| r.counters.uploaded_bytes,
        ),
        (
            "pending_objects",
            "gauge",
            "Sealed objects that wait for upload",
            |r| r.pending_objects,
        ),
        ("pending_bytes", "gauge", "Bytes of them", |r| {
            r.pending_bytes
        }),
        (
            "pruned_files_total",
            "counter",
            "Files deleted in the bucket because they were kept long enough",
            |r| r.counters.pruned_files,
        ),
        ("pruned_bytes_total", "counter", "Bytes of them", |r| {
            r.counters.pruned_bytes
        }),
        (
            "failed_prunes_total",
            "counter",
            "Times that what is old could not be deleted",
            |r| r.counters.failed_prunes,
        ),
        (
            "faulty",
            "gauge",
            "Whether something is wrong with it now",
            |r| {
                let counters = &r.counters;
                let faults = [
                    &counters.fault,
                    &counters.spool_fault,
                    &counters.retention_fault,
                ];
                u64::from(faults.into_iter().any(Option::is_some))
            },
        ),
    ];
    for (name, kind, help, of) in each {
        let _ = writeln!(
            out,
            "# HELP gillnet_recording_{name} {help}, by recording\n# TYPE gillnet_recording_{name} {kind}"
        );
        for rule in &status.rules {
            let _ = writeln!(
                out,
                "gillnet_recording_{name}{{{}}} {}",
                label(rule),
                of(rule)
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_of_windows() {
        let window = |from, until| Window {
            from,
            until,
            number: 1,
            of: None,
        };
        for (from, until, now, share) in [
            (Some(10), Some(20), 0, Some(0.0)),
            (Some(10), Some(20), 15, Some(0.5)),
            (Some(10), Some(20), 99, Some(1.0)),
            (None, Some(20), 15, None),
            (Some(10), None, 15, None),
        ] {
            assert_eq!(progress(&window(from, until), now), share);
        }
    }
}
