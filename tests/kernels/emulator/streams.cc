/* Streams of work without a device. What a stream was given is done late: when the host waits for
 * it, or another stream for one of its events. What the engine forgot to wait for is then not there
 * yet, or there too early where one of the streams does its work at once (em_emulator_prompt). */
#include <string.h>
#include <time.h>
#include <deque>
#include <map>
#include <memory>
#include <vector>

#include "tests/kernels/emulator/streams.h"

extern "C" {
#include "kernels/cuda/device.h"
}

unsigned em_emulator_prompt;

namespace {

struct stream {
    unsigned bit; /* of em_emulator_prompt: streams are counted as they are made */
    int64_t given = 0, done = 0;
    std::deque<std::function<void()>> waiting;
};

/* A point in a stream. */
struct point {
    stream *of = NULL;
    int64_t at = 0;
    double seconds = 0;
};
struct event {
    std::shared_ptr<point> last = std::make_shared<point>();
};

std::vector<stream *> streams;
std::map<const char *, size_t> pinned;

/* Does what s was given, up to place `at`. */
void run_until(stream *s, int64_t at) {
    while (s->done < at) {
        std::function<void()> work = std::move(s->waiting.front());
        s->waiting.pop_front();
        work();
        s->done++;
    }
}

void give(stream *s, std::function<void()> work) {
    s->waiting.push_back(std::move(work));
    s->given++;
    if (em_emulator_prompt & s->bit) run_until(s, s->given);
}

bool is_pinned(const void *p) {
    auto after = pinned.upper_bound((const char *)p);
    if (after == pinned.begin()) return false;
    auto block = std::prev(after);
    return (const char *)p < block->first + block->second;
}

double now() {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

} // namespace

void em_emulator_give(void *s, std::function<void()> work) { give((stream *)s, std::move(work)); }

extern "C" {

void em_emulator_give_c(void *s, void (*work)(void *), void *data) {
    give((stream *)s, [=] { work(data); });
}

void em_emulator_finish(void) {
    for (stream *s : streams) run_until(s, s->given);
}

void *em_pinned_alloc(size_t bytes, em_error *err) {
    void *p = em_device_alloc(bytes, "pinned memory", err);
    if (p) pinned[(const char *)p] = bytes;
    return p;
}

void em_pinned_free(void *p) {
    pinned.erase((const char *)p);
    em_device_free(p);
}

em_stream em_stream_new(em_error *) {
    unsigned used = 0;
    for (stream *other : streams) used |= other->bit;
    stream *s = new stream();
    for (s->bit = 1; used & s->bit;) s->bit <<= 1;
    streams.push_back(s);
    return s;
}

void em_stream_free(em_stream which) {
    stream *s = (stream *)which;
    if (!s) return;
    em_emulator_finish();
    for (size_t i = 0; i < streams.size(); i++)
        if (streams[i] == s) streams.erase(streams.begin() + (ptrdiff_t)i--);
    delete s;
}

bool em_stream_wait(em_stream s, em_error *) {
    run_until((stream *)s, ((stream *)s)->given);
    return true;
}

/* As it was recorded last before this call. */
bool em_stream_after(em_stream s, em_event e, em_error *) {
    std::shared_ptr<point> p = ((event *)e)->last;
    if (p->of) give((stream *)s, [=] { run_until(p->of, p->at); });
    return true;
}

em_event em_event_new(em_error *) { return new event(); }
void em_event_free(em_event e) { delete (event *)e; }

bool em_event_record(em_event e, em_stream which, em_error *) {
    stream *s = (stream *)which;
    std::shared_ptr<point> p = std::make_shared<point>();
    p->of = s;
    p->at = s->given + 1;
    ((event *)e)->last = p;
    give(s, [=] { p->seconds = now(); });
    return true;
}

bool em_event_wait(em_event e, em_error *) {
    const point &p = *((event *)e)->last;
    if (p.of) run_until(p.of, p.at);
    return true;
}

bool em_event_reached(em_event e) {
    const point &p = *((event *)e)->last;
    return !p.of || p.of->done >= p.at;
}

double em_event_seconds(em_event from, em_event to) {
    return ((event *)to)->last->seconds - ((event *)from)->last->seconds;
}

/* Memory that is not pinned is read before the call returns. */
bool em_copy_in(em_stream s, void *device, const void *host, size_t bytes, em_error *) {
    if (is_pinned(host)) {
        give((stream *)s, [=] { memcpy(device, host, bytes); });
        return true;
    }
    std::vector<char> copy((const char *)host, (const char *)host + bytes);
    give((stream *)s, [=] { memcpy(device, copy.data(), bytes); });
    return true;
}

bool em_copy_out(em_stream s, void *host, const void *device, size_t bytes, em_error *err) {
    give((stream *)s, [=] { memcpy(host, device, bytes); });
    return is_pinned(host) || em_stream_wait(s, err);
}

bool em_fill_zero(em_stream s, void *device, size_t bytes, em_error *) {
    give((stream *)s, [=] { memset(device, 0, bytes); });
    return true;
}

} // extern "C"
