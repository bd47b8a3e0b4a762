// Confinement: what a worker gives up before it serves, see config::Confinement. For the start of a
// process with one thread, outside coroutines; never yields. All throw StartError.
#ifndef COGI_SERVER_CONFINEMENT_H_
#define COGI_SERVER_CONFINEMENT_H_

#include <string>

#include "config/settings.h"

namespace cogi::server {

// EnterChroot() makes `directory` the root directory of this process, and its working directory.
// Needs root, whose privileges are dropped afterwards. What is read late of the system outside (the
// time zone) is read before. "": nothing.
void EnterChroot(const std::string& directory);

// Confine() forbids new privileges and installs the filter of system calls. What is denied fails
// with EPERM. For good, and inherited.
void Confine(const config::Confinement& settings);

}  // namespace cogi::server

#endif  // COGI_SERVER_CONFINEMENT_H_
