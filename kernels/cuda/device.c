/* The CUDA runtime, linked into the program: where there is no driver its first call says so, and
 * nothing else happens. */
#include "kernels/cuda/device.h"

#include <cuda_runtime_api.h>
#include <stdio.h>
#include <string.h>

static bool good(cudaError_t e, const char *what, em_error *err) {
    return e == cudaSuccess ||
           em_fail(err, EM_MACHINE, "CUDA, %s: %s", what, cudaGetErrorString(e));
}

/* Processes of this machine whose turn falls on the same of n devices as this one's. */
static size_t sharers(const em_backend_options *o, int n) {
    return o->node_ranks > 1 ? (size_t)((o->node_ranks - 1 - o->node_rank % n) / n + 1) : 1;
}

bool em_device_open(em_device *d, int index, const em_backend_options *options, em_error *err) {
    int n = 0;
    cudaError_t e = cudaGetDeviceCount(&n);
    if (e == cudaErrorInsufficientDriver || e == cudaErrorNoDevice ||
        (e == cudaSuccess && n == 0)) {
        int driver = 0;
        cudaDriverGetVersion(&driver);
        if (driver == 0)
            return em_fail(err, EM_MACHINE, "no NVIDIA driver was found on this machine");
        if (e == cudaErrorInsufficientDriver)
            return em_fail(err, EM_MACHINE,
                           "the NVIDIA driver is for CUDA %d.%d, and this build needs %d.%d: "
                           "update the driver",
                           driver / 1000, driver % 1000 / 10, CUDART_VERSION / 1000,
                           CUDART_VERSION % 1000 / 10);
        return em_fail(err, EM_MACHINE, "the NVIDIA driver shows no device");
    }
    if (!good(e, "counting devices", err)) return false;
    if (index >= n)
        return em_fail(err, EM_MACHINE,
                       "there is no CUDA device %d: this machine has %d, counted from 0", index, n);
    index = (int)(((int64_t)index + options->node_rank) % n);
    struct cudaDeviceProp p;
    if (!good(cudaGetDeviceProperties(&p, index), "reading the device", err)) return false;
    if (p.major < 8)
        return em_fail(err, EM_MACHINE, "%s has compute capability %d.%d, and 8.0 is needed",
                       p.name, p.major, p.minor);
    size_t total;
    d->index = index;
    snprintf(d->name, sizeof d->name, "%.32s sm_%d%d", p.name, p.major, p.minor);
    if (!good(cudaSetDevice(index), "opening the device", err) ||
        !good(cudaMemGetInfo(&d->free_bytes, &total), "asking for its memory", err))
        return false;
    d->free_bytes /= sharers(options, n);
    return true;
}

bool em_device_use(const em_device *d, em_error *err) {
    return good(cudaSetDevice(d->index), "taking the device", err);
}

void *em_device_alloc(size_t bytes, const char *what, em_error *err) {
    void *p = NULL;
    cudaError_t e = cudaMalloc(&p, bytes ? bytes : 1);
    if (e == cudaSuccess) return p;
    cudaGetLastError();
    if (e == cudaErrorMemoryAllocation)
        em_fail(err, EM_MACHINE, "the device has no %zu MiB left for %s: lower --memory, -T or -B",
                (bytes >> 20) + 1, what);
    else good(e, what, err);
    return NULL;
}

void em_device_free(void *p) { cudaFree(p); }

void *em_pinned_alloc(size_t bytes, em_error *err) {
    void *p = NULL;
    return good(cudaHostAlloc(&p, bytes, cudaHostAllocDefault), "pinned memory of the host", err)
               ? p
               : NULL;
}

void em_pinned_free(void *p) { cudaFreeHost(p); }

em_stream em_stream_new(em_error *err) {
    cudaStream_t s = NULL;
    return good(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking), "a stream", err) ? s : NULL;
}

void em_stream_free(em_stream s) {
    if (s) cudaStreamDestroy(s);
}

bool em_stream_wait(em_stream s, em_error *err) {
    return good(cudaStreamSynchronize(s), "computing", err);
}

bool em_stream_after(em_stream s, em_event e, em_error *err) {
    return good(cudaStreamWaitEvent(s, e, 0), "an event", err);
}

em_event em_event_new(em_error *err) {
    cudaEvent_t e = NULL;
    return good(cudaEventCreate(&e), "an event", err) ? e : NULL;
}

void em_event_free(em_event e) {
    if (e) cudaEventDestroy(e);
}

bool em_event_record(em_event e, em_stream s, em_error *err) {
    return good(cudaEventRecord(e, s), "an event", err);
}

bool em_event_wait(em_event e, em_error *err) {
    return good(cudaEventSynchronize(e), "computing", err);
}

bool em_event_reached(em_event e) {
    cudaError_t answer = cudaEventQuery(e);
    if (answer == cudaErrorNotReady)
        cudaGetLastError(); /* CUDA keeps this answer as if it were an error */
    return answer == cudaSuccess;
}

double em_event_seconds(em_event from, em_event to) {
    float ms = 0;
    return cudaEventElapsedTime(&ms, from, to) == cudaSuccess ? (double)ms / 1000 : 0;
}

bool em_copy_in(em_stream s, void *device, const void *host, size_t bytes, em_error *err) {
    return good(cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, s),
                "copying to the device", err);
}

bool em_copy_out(em_stream s, void *host, const void *device, size_t bytes, em_error *err) {
    return good(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, s),
                "copying from the device", err);
}

bool em_fill_zero(em_stream s, void *device, size_t bytes, em_error *err) {
    return good(cudaMemsetAsync(device, 0, bytes, s), "clearing memory", err);
}

bool em_launch_check(em_error *err) { return good(cudaGetLastError(), "starting a kernel", err); }
