// What Verilator's library calls when an assertion of the hardware fails: the text waits for the model that was being clocked on this
// thread. The library is built with VL_USER_STOP, so that a failed assertion is an error value of the caller and not the end of the process.
#include <string>

#include "verilated.h"

thread_local std::string wirebook_stopped;

void vl_stop(const char* file, int line, const char* hier) {
    if (wirebook_stopped.empty()) wirebook_stopped = std::string(hier) + " (" + file + ":" + std::to_string(line) + ")";
}
