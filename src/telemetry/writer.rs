//! The thread that writes lines, so that a slow disk or terminal costs no request its time. Lines leave in
//! the order in which they came; at the end everything that was taken is written.

use std::io;

use prometheus_client::metrics::counter::Counter;
use tokio::sync::{mpsc, oneshot};

use crate::telemetry::record::{Event, Format, write_line};
use crate::telemetry::sink::Sink;

/// Lines that are written in one piece at most; under load this saves most of the system calls.
const BATCH: usize = 256;

/// One place where lines go, and in which form.
#[derive(Debug)]
pub struct Output {
    /// Where.
    pub sink: Sink,
    /// In which form.
    pub format: Format,
}

/// The end of a writer in the hands of its owner. Dropping it also ends the writer, without waiting for it.
#[derive(Debug)]
pub(super) struct Writer {
    stop: oneshot::Sender<()>,
    ended: oneshot::Receiver<()>,
}

impl Writer {
    /// Takes no more lines, writes those that were taken, and returns when that is done.
    pub(super) async fn finish(self) {
        drop(self.stop);
        // An error says that the thread is gone, and with it the reason to wait.
        let _ended = self.ended.await;
    }
}

/// Starts a thread that writes each event to every output. `capacity` bounds what may wait; `lost` counts
/// the lines that an output did not take.
pub(super) fn start<E: Event + Send + 'static>(
    name: &str,
    capacity: usize,
    outputs: Vec<Output>,
    lost: Counter,
) -> io::Result<(mpsc::Sender<E>, Writer)> {
    let (sender, queue) = mpsc::channel(capacity);
    let (stop, stopped) = oneshot::channel();
    let (end, ended) = oneshot::channel();
    std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        // Nothing but the wake-ups of its two channels is needed of this runtime.
        match tokio::runtime::Builder::new_current_thread().build() {
            Ok(runtime) => runtime.block_on(write_all(queue, stopped, outputs, lost)),
            Err(error) => tracing::error!(%error, "a log could not be started; its lines are lost"),
        }
        drop(end);
    })?;
    Ok((sender, Writer { stop, ended }))
}

async fn write_all<E: Event>(
    mut queue: mpsc::Receiver<E>,
    mut stopped: oneshot::Receiver<()>,
    mut outputs: Vec<Output>,
    lost: Counter,
) {
    let mut events = Vec::with_capacity(BATCH);
    let mut open = true;
    loop {
        let taken = if open {
            tokio::select! {
                biased;
                _ = &mut stopped => {
                    open = false;
                    queue.close();
                    continue;
                }
                taken = queue.recv_many(&mut events, BATCH) => taken,
            }
        } else {
            queue.recv_many(&mut events, BATCH).await
        };
        if taken == 0 {
            return;
        }
        write_batch(&events, &mut outputs, &lost);
        events.clear();
    }
}

fn write_batch<E: Event>(events: &[E], outputs: &mut [Output], lost: &Counter) {
    for output in outputs {
        let mut lines = String::new();
        for event in events {
            write_line(event, output.format, &mut lines);
        }
        if let Err(error) = output.sink.write(&lines) {
            lost.inc_by(events.len() as u64);
            tracing::error!(%error, lines = events.len(), "lines could not be written");
        }
    }
}
