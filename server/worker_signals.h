// Signals of a worker, as bytes in a pipe that a coroutine reads. Handlers instead of a signalfd:
// no signal stays blocked, so programs that are started from here begin with an ordinary mask.
#ifndef COGI_SERVER_WORKER_SIGNALS_H_
#define COGI_SERVER_WORKER_SIGNALS_H_

namespace cogi::server {

// InstallWorkerSignals() sets the handlers (TERM, QUIT, INT, HUP, USR1, USR2) and unblocks all
// signals. Returns the descriptor from which signal numbers can be read, one byte each; it does not
// block. -1 with errno on failure. Called once.
[[nodiscard]] int InstallWorkerSignals();

}  // namespace cogi::server

#endif  // COGI_SERVER_WORKER_SIGNALS_H_
