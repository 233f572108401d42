/* A device's memory, its queues of work and its matrix products: all that the engine asks of CUDA's
 * libraries. device.c and products.c say it by CUDA; tests/kernels/emulator/ says it without a
 * device. */
#ifndef EM_KERNELS_CUDA_DEVICE_H
#define EM_KERNELS_CUDA_DEVICE_H

#include "common/error.h"
#include "kernels/backend.h"

typedef void *em_stream; /* work in order */
typedef void *em_event;  /* a point in a stream */

typedef struct em_device {
    int index;
    char name[64];     /* "NVIDIA H200 sm_90" */
    size_t free_bytes; /* at opening; of several processes on it, this one's share */
} em_device;

/* The device options->node_rank places after `index`, round all that there are; processes that land
 * on the same one share what is free. Errors (EM_MACHINE) say what is missing: driver, device
 * `index`, compute capability 8.0. */
bool em_device_open(em_device *d, int index, const em_backend_options *options, em_error *err);
/* What this thread asks of CUDA from now on is asked of this device: a thread that did not open it
 * says so first. */
bool em_device_use(const em_device *d, em_error *err);

/* All below: false, or NULL, with err (EM_MACHINE) where CUDA fails; the first error stays. Freeing
 * NULL is right. */

/* Memory of the device, not cleared; the caller's, release with em_device_free. what: for the
 * error.
 */
void *em_device_alloc(size_t bytes, const char *what, em_error *err);
/* Waits for what uses it. */
void em_device_free(void *p);
/* Memory of the host that devices copy from at full rate; release with em_pinned_free. */
void *em_pinned_alloc(size_t bytes, em_error *err);
/* Frees pinned memory; NULL may be freed. */
void em_pinned_free(void *p);

/* A queue of work that is done in order, beside other queues; release with em_stream_free. */
em_stream em_stream_new(em_error *err);
/* Destroys the stream. */
void em_stream_free(em_stream s);
/* The host waits for all of it so far; errors of that work show here. */
bool em_stream_wait(em_stream s, em_error *err);
/* What s is given from here on comes after e, as it was last recorded. */
bool em_stream_after(em_stream s, em_event e, em_error *err);
/* Counts as reached until it is recorded; release with em_event_free. */
em_event em_event_new(em_error *err);
/* Destroys the event. */
void em_event_free(em_event e);
/* e is reached once s is through with its work so far. */
bool em_event_record(em_event e, em_stream s, em_error *err);
/* The host waits until it is reached. */
bool em_event_wait(em_event e, em_error *err);
/* Whether all before the event is done; does not wait. */
bool em_event_reached(em_event e);
/* Both recorded and reached; 0 where CUDA cannot say. */
double em_event_seconds(em_event from, em_event to);

/* host to device, in the stream's order; pinned memory does not hold the caller up, and must stay
 * as it is until the copy is done. */
bool em_copy_in(em_stream s, void *device, const void *host, size_t bytes, em_error *err);
/* device to host likewise: there once the stream was waited for. */
bool em_copy_out(em_stream s, void *host, const void *device, size_t bytes, em_error *err);
/* Zeros, in the stream's order. */
bool em_fill_zero(em_stream s, void *device, size_t bytes, em_error *err);
/* What kernels started since the last call had to say at their start. */
bool em_launch_check(em_error *err);

/* ---- matrix products ---- */

typedef struct em_products em_products;

/* Y = X W^T, or Y += X W^T: X [tokens, k] rows k apart, W [n, k] rows k apart, Y [tokens, n] rows
 * y_stride apart. X and W are of type; sums are f32 (never TF32); Y is f32, or of type. k and n are
 * multiples of 16. */
typedef struct em_product_shape {
    int tokens, n, k, y_stride;
    em_dtype type;
    bool y_f32, add;    /* add: y_f32 too */
    bool any_algorithm; /* the library's first choice, with a workspace, whatever order its sums
                           have: a yardstick */
} em_product_shape;

/* Opens cuBLASLt; release with em_products_close. NULL with err (EM_MACHINE): the library is not
 * found (the text names what to set), or memory is out. */
em_products *em_products_open(em_error *err);
/* Frees the algorithms; NULL may be closed. */
void em_products_close(em_products *p);
/* 10000 * major + 100 * minor + patch of the library; 0: it has none. */
int em_products_version(const em_products *p);
/* Queues a product; x, w, y: the device's. The first call of a shape chooses its algorithm: without
 * split-K or stream-K (unless any will do), and the same for each run on such a device. False with
 * err (EM_MACHINE): no algorithm fits the shape, or the library fails. */
bool em_product_run(em_products *p, em_stream s, const em_product_shape *shape, const void *x,
                    const void *w, void *y, em_error *err);

#endif
