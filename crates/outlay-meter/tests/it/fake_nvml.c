/*
 * A stand-in for NVIDIA's libnvidia-ml, driven by a text file.
 *
 * Build:  cc -shared -fPIC -o libnvidia-ml.so.1 fake_nvml.c
 * Use:    give the library's path to `Nvml::load`, or put its folder into LD_LIBRARY_PATH.
 *
 * The state is the file that the variable FAKE_NVML_STATE names, or else the library's own path with `.state` added.
 * It is read anew at every call, so that a test moves time on by replacing it; write another file and rename it,
 * or a call may see half of it. Without the file there are no accelerators.
 *
 * One fact a line, words parted by one space; the first line that fits counts, and others are passed over:
 *
 *   driver 580.65.06           the driver's version
 *   fail init 9                nvmlInit gives this error (9: driver not loaded); also `fail count 999`
 *   gpu 0 uuid GPU-1234        an accelerator; they are numbered from 0, and each needs this line
 *   gpu 0 name NVIDIA H100
 *   gpu 0 energy_mj 123456     the energy counter, in millijoules
 *   gpu 0 power_mw 300000      power, in milliwatts
 *   gpu 0 watts 300            instead of driving the two above by hand: power is this, and the counter goes up by it
 *                              for each second since the library was loaded, on top of energy_mj (0 without that line)
 *   gpu 0 busy 87              percent
 *   gpu 0 memory 8000 1000     bytes: all, and used
 *   gpu 0 process 4242 500     a process that computes, and its bytes (-1: the driver does not tell them); any number of lines
 *   gpu 0 process @/tmp/pid 5  the process id is what that file says; no such file, no such process
 *   gpu 0 graphics 4242 500    the same, of the list of those that draw; and `mps`, of the multi-process service
 *   gpu 0 sample 4242 9000 55  a process's busy percent, at a time in microseconds; any number of lines
 *   gpu 0 slices 7             MIG mode is on, and the accelerator has 7 compute slices
 *   slice 0.1 uuid MIG-1234    a slice at place 1 (0 to 6) of accelerator 0; it may have name, memory, process, graphics, mps
 *   slice 0.1 compute 2        its number of compute slices
 *   gpu 0 fail energy 3        that call gives this error (3: not supported, 4: no permission, 15: fallen off the bus, 999: unknown)
 *   gpu 0 fail all 15          every call does
 *
 * Calls that can fail: handle uuid name energy power busy memory process graphics mps sample mig attributes profile.
 * A counter without its line is not supported; a list without lines is empty.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { OK = 0, BAD_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, TOO_SMALL = 7 };
enum { GPUS = 16, PLACES = 7, LINE = 512 };

typedef struct {
    int gpu;
    int place; /* -1 for the whole accelerator */
} Device;

static Device wholes[GPUS];
static Device slices[GPUS][PLACES];
static struct timespec loaded;

__attribute__((constructor)) static void set_up(void) {
    clock_gettime(CLOCK_MONOTONIC, &loaded);
    for (int gpu = 0; gpu < GPUS; gpu++) {
        wholes[gpu] = (Device){gpu, -1};
        for (int place = 0; place < PLACES; place++)
            slices[gpu][place] = (Device){gpu, place};
    }
}

/* Puts what follows the n-th line that begins with these words into `rest`; 0 when there is no such line. */
static int line_at(const char *words, int n, char *rest) {
    char path[LINE];
    const char *named = getenv("FAKE_NVML_STATE");
    Dl_info self;
    if (named != NULL)
        snprintf(path, sizeof path, "%s", named);
    else if (dladdr((void *)set_up, &self) != 0)
        snprintf(path, sizeof path, "%s.state", self.dli_fname);
    else
        return 0;
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return 0;
    char line[LINE];
    size_t length = strlen(words);
    int found = 0;
    while (!found && fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\r\n")] = '\0';
        if (strncmp(line, words, length) == 0 && line[length] == ' ' && n-- == 0) {
            strcpy(rest, line + length + 1);
            found = 1;
        }
    }
    fclose(file);
    return found;
}

static int device_line(const Device *device, const char *key, int n, char *rest) {
    char words[LINE];
    if (device->place < 0)
        snprintf(words, sizeof words, "gpu %d %s", device->gpu, key);
    else
        snprintf(words, sizeof words, "slice %d.%d %s", device->gpu, device->place, key);
    return line_at(words, n, rest);
}

static int failure(const Device *device, const char *call) {
    char key[64], rest[LINE];
    snprintf(key, sizeof key, "fail %s", call);
    if (device_line(device, key, 0, rest) || device_line(device, "fail all", 0, rest))
        return atoi(rest);
    /* A slice goes with its accelerator. */
    if (device->place >= 0 && device_line(&wholes[device->gpu], "fail all", 0, rest))
        return atoi(rest);
    return OK;
}

/* The line of a call, unless the call is to fail. */
static int get(const Device *device, const char *call, const char *key, char *rest) {
    int code = failure(device, call);
    if (code != OK)
        return code;
    return device_line(device, key, 0, rest) ? OK : NOT_SUPPORTED;
}

static int give_text(const char *text, char *out, unsigned size) {
    if (strlen(text) >= size)
        return TOO_SMALL;
    strcpy(out, text);
    return OK;
}

static double seconds_since_load(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - loaded.tv_sec) + (double)(now.tv_nsec - loaded.tv_nsec) / 1e9;
}

int nvmlInit_v2(void) {
    char rest[LINE];
    return line_at("fail init", 0, rest) ? atoi(rest) : OK;
}

int nvmlShutdown(void) { return OK; }

int nvmlSystemGetDriverVersion(char *version, unsigned size) {
    char rest[LINE];
    return line_at("driver", 0, rest) ? give_text(rest, version, size) : NOT_SUPPORTED;
}

int nvmlDeviceGetCount_v2(unsigned *count) {
    char rest[LINE];
    if (line_at("fail count", 0, rest))
        return atoi(rest);
    *count = 0;
    while (*count < GPUS && device_line(&wholes[*count], "uuid", 0, rest))
        ++*count;
    return OK;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, Device **device) {
    char rest[LINE];
    if (index >= GPUS || !device_line(&wholes[index], "uuid", 0, rest))
        return BAD_ARGUMENT;
    *device = &wholes[index];
    return failure(*device, "handle");
}

int nvmlDeviceGetUUID(Device *device, char *uuid, unsigned size) {
    char rest[LINE];
    int code = get(device, "uuid", "uuid", rest);
    return code != OK ? code : give_text(rest, uuid, size);
}

int nvmlDeviceGetName(Device *device, char *name, unsigned size) {
    char rest[LINE];
    int code = get(device, "name", "name", rest);
    return code != OK ? code : give_text(rest, name, size);
}

int nvmlDeviceGetTotalEnergyConsumption(Device *device, unsigned long long *millijoules) {
    char counted[LINE], watts[LINE];
    int code = get(device, "energy", "energy_mj", counted);
    int runs = device_line(device, "watts", 0, watts);
    if (code == NOT_SUPPORTED && runs && failure(device, "energy") == OK)
        strcpy(counted, "0");
    else if (code != OK)
        return code;
    double by_time = runs ? atof(watts) * 1e3 * seconds_since_load() : 0.0;
    *millijoules = strtoull(counted, NULL, 10) + (unsigned long long)by_time;
    return OK;
}

int nvmlDeviceGetPowerUsage(Device *device, unsigned *milliwatts) {
    char rest[LINE];
    int code = get(device, "power", "power_mw", rest);
    if (code == OK)
        *milliwatts = (unsigned)strtoul(rest, NULL, 10);
    else if (code == NOT_SUPPORTED && failure(device, "power") == OK && device_line(device, "watts", 0, rest)) {
        *milliwatts = (unsigned)(atof(rest) * 1e3);
        code = OK;
    }
    return code;
}

typedef struct {
    unsigned gpu, memory;
} Utilization;

int nvmlDeviceGetUtilizationRates(Device *device, Utilization *rates) {
    char rest[LINE];
    int code = get(device, "busy", "busy", rest);
    if (code == OK)
        *rates = (Utilization){(unsigned)atoi(rest), 0};
    return code;
}

typedef struct {
    unsigned version;
    unsigned long long total, reserved, free, used;
} Memory;

int nvmlDeviceGetMemoryInfo_v2(Device *device, Memory *memory) {
    char rest[LINE];
    int code = get(device, "memory", "memory", rest);
    if (code != OK)
        return code;
    if (sscanf(rest, "%llu %llu", &memory->total, &memory->used) != 2)
        return BAD_ARGUMENT;
    memory->reserved = 0;
    memory->free = memory->total - memory->used;
    return OK;
}

typedef struct {
    unsigned pid;
    unsigned long long bytes;
    unsigned gpu_instance, compute_instance;
} Process;

/* The process id of a word; 0 when it names a file that is not there or is empty. */
static unsigned pid_of(const char *word) {
    unsigned pid = 0;
    if (word[0] != '@')
        return (unsigned)strtoul(word, NULL, 10);
    FILE *file = fopen(word + 1, "r");
    if (file != NULL) {
        if (fscanf(file, "%u", &pid) != 1)
            pid = 0;
        fclose(file);
    }
    return pid;
}

static int list_processes(const Device *device, const char *kind, unsigned *count, Process *processes) {
    char rest[LINE], word[LINE];
    long long bytes;
    int code = failure(device, kind);
    if (code != OK)
        return code;
    unsigned n = 0;
    for (int at = 0; device_line(device, kind, at, rest); at++) {
        if (sscanf(rest, "%511s %lld", word, &bytes) != 2)
            return BAD_ARGUMENT;
        unsigned pid = pid_of(word);
        if (pid == 0)
            continue;
        if (processes != NULL && n < *count)
            processes[n] = (Process){pid, (unsigned long long)bytes, ~0u, ~0u};
        n++;
    }
    code = n > *count ? TOO_SMALL : OK;
    *count = n;
    return code;
}

int nvmlDeviceGetComputeRunningProcesses_v3(Device *device, unsigned *count, Process *processes) {
    return list_processes(device, "process", count, processes);
}

int nvmlDeviceGetGraphicsRunningProcesses_v3(Device *device, unsigned *count, Process *processes) {
    return list_processes(device, "graphics", count, processes);
}

int nvmlDeviceGetMPSComputeRunningProcesses_v3(Device *device, unsigned *count, Process *processes) {
    return list_processes(device, "mps", count, processes);
}

typedef struct {
    unsigned pid;
    unsigned long long microseconds;
    unsigned sm, memory, encoder, decoder;
} Sample;

int nvmlDeviceGetProcessUtilization(Device *device, Sample *samples, unsigned *count, unsigned long long last_seen) {
    char rest[LINE], word[LINE];
    unsigned long long microseconds;
    unsigned percent, n = 0;
    int code = failure(device, "sample");
    if (code != OK)
        return code;
    for (int at = 0; device_line(device, "sample", at, rest); at++) {
        if (sscanf(rest, "%511s %llu %u", word, &microseconds, &percent) != 3)
            return BAD_ARGUMENT;
        unsigned pid = pid_of(word);
        if (pid == 0 || microseconds <= last_seen)
            continue;
        if (samples != NULL && n < *count)
            samples[n] = (Sample){pid, microseconds, percent, 0, 0, 0};
        n++;
    }
    /* As the driver has it: nothing new is an error of its own. */
    code = n == 0 ? NOT_FOUND : n > *count ? TOO_SMALL : OK;
    *count = n;
    return code;
}

int nvmlDeviceGetMigMode(Device *device, unsigned *current, unsigned *pending) {
    char rest[LINE];
    int code = get(device, "mig", "slices", rest);
    *current = *pending = 1;
    return code;
}

int nvmlDeviceGetMaxMigDeviceCount(Device *device, unsigned *count) {
    *count = PLACES;
    return failure(device, "mig");
}

int nvmlDeviceGetMigDeviceHandleByIndex(Device *device, unsigned place, Device **slice) {
    char rest[LINE];
    if (place >= PLACES || !device_line(&slices[device->gpu][place], "uuid", 0, rest))
        return NOT_FOUND;
    *slice = &slices[device->gpu][place];
    return failure(*slice, "handle");
}

typedef struct {
    unsigned multiprocessors, copy, decoders, encoders, jpeg, ofa, gpu_slices, compute_slices;
    unsigned long long megabytes;
} Attributes;

int nvmlDeviceGetAttributes_v2(Device *device, Attributes *attributes) {
    char rest[LINE];
    int code = get(device, "attributes", "compute", rest);
    if (code == OK) {
        memset(attributes, 0, sizeof *attributes);
        attributes->gpu_slices = attributes->compute_slices = (unsigned)atoi(rest);
    }
    return code;
}

typedef struct {
    unsigned id, p2p, slices, instances, multiprocessors, copy, decoders, encoders, jpeg, ofa;
    unsigned long long megabytes;
} Profile;

int nvmlDeviceGetGpuInstanceProfileInfo(Device *device, unsigned profile, Profile *info) {
    static const unsigned sizes[] = {1, 2, 3, 4, 7, 8, 6};
    char rest[LINE];
    int code = get(device, "profile", "slices", rest);
    if (code != OK)
        return code;
    if (profile >= sizeof sizes / sizeof *sizes || sizes[profile] > (unsigned)atoi(rest))
        return NOT_SUPPORTED;
    memset(info, 0, sizeof *info);
    info->id = profile;
    info->slices = sizes[profile];
    return OK;
}
