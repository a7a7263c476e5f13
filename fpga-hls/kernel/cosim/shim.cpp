// One Verilated model behind a few C functions. Compiled once for each model, with
//   MODEL      the class that Verilator made (its --prefix)
//   SHIM(f)    the name of function f for this model
//   BOOKS      books of the elaboration
//   SAVABLE    defined when the model was made with --savable
// Only these names of the kernel are used: the ports of `kernel_sim`, and `mem`, which trace.vlt makes public: the words of a memory. Nothing
// here allocates per cycle.
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "verilated.h"
#include "verilated_sym_props.h"
#include "verilated_syms.h"
#include "verilated_vcd_c.h"
#define STRING_OF(x) #x
#define HEADER_OF(x) STRING_OF(x.h)
#include HEADER_OF(MODEL)

extern thread_local std::string wirebook_stopped;  // runtime.cpp

namespace {

constexpr int kWords = 4;         // 64-bit words of a beat
constexpr int kResetCycles = 4;

// splitmix64: the gaps of both streams, the same for the same seed.
struct Gaps {
    uint64_t state = 0;
    uint32_t offer = 256, accept = 256;  // chances of 256, each cycle
    bool chance(uint32_t of256) {
        if (of256 >= 256) return true;
        uint64_t z = (state += 0x9e3779b97f4a7c15ull);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
        return ((z ^ (z >> 31)) & 255) < of256;
    }
};

#ifdef SAVABLE
// A small model's state is one piece of the library's own buffer: no file, no flushing in between.
class Saver final : public VerilatedSerialize {
public:
    void start() { m_cp = m_bufp; }
    const uint8_t* bytes() const { return m_bufp; }
    size_t size() const { return static_cast<size_t>(m_cp - m_bufp); }
    void flush() override { vl_fatal(__FILE__, __LINE__, "shim", "the state does not fit the buffer"); }
};
class Loader final : public VerilatedDeserialize {
public:
    void start(const uint8_t* bytes, size_t size) {
        memcpy(m_bufp, bytes, size);
        m_cp = m_bufp;
        m_endp = m_bufp + bufferSize();  // what lies behind the state is never read
    }
    void fill() override { vl_fatal(__FILE__, __LINE__, "shim", "the state does not fit the buffer"); }
};
#endif

// One memory of the kernel, whatever its element is in C++.
struct Memory {
    const char* name;     // where it stands: "TOP.kernel_sim.core.u_next"
    uint8_t* bytes;
    uint32_t stride;      // bytes of an element
    uint32_t words, bits;
};

struct Sim {
    std::unique_ptr<VerilatedContext> context{new VerilatedContext};
    std::unique_ptr<MODEL> top;
    std::unique_ptr<VerilatedVcdC> wave;
    Gaps gaps;
    uint64_t cycles = 0;
    uint64_t open = 0;       // commands taken that have not answered `last`
    bool offered = false;    // a beat once offered stays until it is taken
    std::string failed;      // the first assertion that failed
    std::vector<Memory> memories;
#ifdef SAVABLE
    Saver saver;
    Loader loader;
#endif

    void half(int clk) {
        top->clk = static_cast<CData>(clk);
        top->eval();
        context->timeInc(1);
        if (wave) wave->dump(context->time());
    }
    // One cycle. bit 0: the beat was taken; bit 1: an event was given.
    int cycle(const uint64_t* beat, bool accept, uint64_t* event) {
        offered = beat && (offered || gaps.chance(gaps.offer));
        top->s_axis_tvalid = offered;
        if (offered) memcpy(&top->s_axis_tdata[0], beat, kWords * 8);
        top->m_axis_tready = accept && gaps.chance(gaps.accept);
        half(0);
        int what = 0;
        if (offered && top->s_axis_tready) { what |= 1; offered = false; ++open; }
        if (top->m_axis_tvalid && top->m_axis_tready) {
            what |= 2;
            memcpy(event, &top->m_axis_tdata[0], kWords * 8);
            if (event[3] >> 56 & 1) --open;
        }
        half(1);
        ++cycles;
        if (!wirebook_stopped.empty()) {
            if (failed.empty()) failed = wirebook_stopped;
            wirebook_stopped.clear();
        }
        return what;
    }
};

Sim* sim(void* p) { return static_cast<Sim*>(p); }

}  // namespace

extern "C" {

void* SHIM(new)(uint32_t slots, uint32_t max_qty, uint32_t books, const uint32_t* ticks) {
    auto* s = new Sim;
    s->context->traceEverOn(true);
    s->top.reset(new MODEL{s->context.get()});
    s->top->cfg_slots = slots;
    s->top->cfg_max_qty = max_qty;
    s->top->cfg_books = books;
    for (uint32_t i = 0; i < BOOKS; ++i) {
        uint32_t of = i < books ? ticks[i] : 0;
        memcpy(reinterpret_cast<uint8_t*>(&s->top->cfg_ticks) + 4 * i, &of, 4);
    }
    for (const auto& scope : *s->context->scopeNameMap()) {
        const VerilatedVar* mem = scope.second->varFind("mem");
        if (!mem || mem->udims() != 1) continue;
        s->memories.push_back({scope.second->name(), static_cast<uint8_t*>(mem->datap()), mem->entSize(),
                               static_cast<uint32_t>(mem->unpacked().elements()),
                               static_cast<uint32_t>(mem->packed().elements())});
    }
    s->top->rst = 1;
    s->top->s_axis_tvalid = 0;
    s->top->m_axis_tready = 0;
    for (int i = 0; i < kResetCycles; ++i) { s->half(0); s->half(1); }
    s->top->rst = 0;
    return s;
}

void SHIM(free)(void* p) {
    if (sim(p)->wave) sim(p)->wave->close();
    // A model's scopes sign off at the context of the thread, which is that of the model made last: it may be another's, or gone.
    Verilated::threadContextp(sim(p)->context.get());
    sim(p)->top->final();
    delete sim(p);
    Verilated::threadContextp(Verilated::defaultContextp());
}

void SHIM(gaps)(void* p, uint64_t seed, uint32_t offer, uint32_t accept) {
    sim(p)->gaps = Gaps{seed, offer, accept};
}

// Clocks until all `count` beats are taken and answered, or `room` events were given, or `most` cycles have passed.
// done[0]: beats taken; done[1]: events given. Returns the cycles.
uint64_t SHIM(run)(void* p, const uint64_t* beats, uint64_t count, uint64_t* events, uint64_t room, uint64_t most,
                   uint64_t* done) {
    Sim* s = sim(p);
    uint64_t taken = 0, given = 0, passed = 0;
    while (passed < most && given < room && (taken < count || s->open)) {
        int what = s->cycle(taken < count ? beats + kWords * taken : nullptr, true, events + kWords * given);
        taken += what & 1;
        given += what >> 1;
        ++passed;
    }
    done[0] = taken;
    done[1] = given;
    return passed;
}

// One cycle, for measuring: see Sim::cycle.
int SHIM(cycle)(void* p, const uint64_t* beat, int accept, uint64_t* event) {
    return sim(p)->cycle(beat, accept != 0, event);
}

uint64_t SHIM(open)(void* p) { return sim(p)->open; }
uint64_t SHIM(cycles)(void* p) { return sim(p)->cycles; }
// The first assertion that failed, or null.
const char* SHIM(failed)(void* p) { return sim(p)->failed.empty() ? nullptr : sim(p)->failed.c_str(); }
int SHIM(idle)(void* p) { return sim(p)->top->idle; }

// Name, words and bits a word of memory `at`; null when there is none.
const char* SHIM(memory)(void* p, uint64_t at, uint32_t* words, uint32_t* bits) {
    if (at >= sim(p)->memories.size()) return nullptr;
    const Memory& memory = sim(p)->memories[at];
    *words = memory.words;
    *bits = memory.bits;
    return memory.name;
}

// Whether any bit of a word is set. Memory and address are there: the caller knows them from `memory`.
int SHIM(stored)(void* p, uint64_t at, uint32_t address) {
    const Memory& memory = sim(p)->memories[at];
    const uint8_t* word = memory.bytes + size_t{memory.stride} * address;
    for (uint32_t i = 0; i < memory.stride; ++i)
        if (word[i]) return 1;
    return 0;
}

// Flips a stored bit, as a particle would. Elements are little-endian, as this machine is.
void SHIM(flip)(void* p, uint64_t at, uint32_t address, uint32_t bit) {
    const Memory& memory = sim(p)->memories[at];
    memory.bytes[size_t{memory.stride} * address + bit / 8] ^= static_cast<uint8_t>(1u << (bit % 8));
}

// From now on every cycle goes to a VCD file. 0 when it cannot be opened.
int SHIM(wave)(void* p, const char* path) {
    Sim* s = sim(p);
    s->wave.reset(new VerilatedVcdC);
    s->top->trace(s->wave.get(), 99);
    s->wave->open(path);
    if (!s->wave->isOpen()) s->wave.reset();
    return s->wave ? 1 : 0;
}

void SHIM(wave_flush)(void* p) {
    if (sim(p)->wave) sim(p)->wave->flush();
}

#ifdef SAVABLE
// The state's bytes stand in a buffer of the model until the next save.
const uint8_t* SHIM(save)(void* p, uint64_t* size) {
    Sim* s = sim(p);
    s->saver.start();
    s->saver << *s->top;
    *size = s->saver.size();
    return s->saver.bytes();
}

void SHIM(load)(void* p, const uint8_t* bytes, uint64_t size, uint64_t open) {
    Sim* s = sim(p);
    s->loader.start(bytes, size);
    s->loader >> *s->top;
    s->open = open;
    s->offered = false;
}
#endif

}  // extern "C"
