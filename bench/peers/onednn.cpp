// oneDNN as a side: forward inference, forward training and backward on OMP_NUM_THREADS threads, in plain NCHW or NHWC.
#include <algorithm>
#include <chrono>
#include <fstream>
#include <iostream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <vector>

#include <oneapi/dnnl/dnnl.hpp>

using dnnl::memory;
using dnnl::normalization_flags;
using dnnl::prop_kind;

constexpr float EPS = 1e-5f;

struct Unsupported : std::runtime_error {
    using std::runtime_error::runtime_error;
};

struct Task {
    std::string operation, layout, directory;
    memory::dims shape;  // channels-first in either layout, as oneDNN expects; two dimensions become four
};

// A primitive with its arguments; results are those of the arguments that it writes.
struct Prepared {
    dnnl::primitive primitive;
    std::unordered_map<int, memory> arguments;
    std::vector<memory> results;
    std::string implementation;
};

static const dnnl::engine &cpu() {
    static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
    return engine;
}

static dnnl::stream &stream() {
    static dnnl::stream stream(cpu());
    return stream;
}

static memory::format_tag tag_of(const Task &task) {
    const bool first = task.layout == "channels-first";
    switch (task.shape.size()) {
        case 3: return first ? memory::format_tag::ncw : memory::format_tag::nwc;
        case 4: return first ? memory::format_tag::nchw : memory::format_tag::nhwc;
        case 5: return first ? memory::format_tag::ncdhw : memory::format_tag::ndhwc;
        default: throw Unsupported("rank 2 to 5 only");
    }
}

static memory empty(const memory::desc &desc) {
    memory result(desc, cpu());
    std::fill_n(static_cast<char *>(result.get_data_handle()), desc.get_size(), 0);
    return result;
}

static memory load(const Task &task, const std::string &name, const memory::desc &desc) {
    memory result(desc, cpu());
    const std::string path = task.directory + "/" + name + ".f32";
    std::ifstream file(path, std::ios::binary);
    if (!file.read(static_cast<char *>(result.get_data_handle()), desc.get_size()))
        throw std::runtime_error("expected " + std::to_string(desc.get_size()) + " bytes in " + path);
    return result;
}

static void run(const Prepared &prepared) {
    prepared.primitive.execute(stream(), prepared.arguments);
    stream().wait();
}

static Prepared prepare(const Task &task) {
    const memory::desc whole(task.shape, memory::data_type::f32, tag_of(task));
    const memory::desc vector({task.shape[1]}, memory::data_type::f32, memory::format_tag::x);
    const auto scale_shift = normalization_flags::use_scale | normalization_flags::use_shift;
    const bool eval = task.operation == "eval";
    const auto flags = eval ? scale_shift | normalization_flags::use_global_stats : scale_shift;

    using forward = dnnl::batch_normalization_forward;
    const auto kind = eval ? prop_kind::forward_inference : prop_kind::forward_training;
    const forward::primitive_desc pd({kind, whole, EPS, flags}, cpu());
    const memory x = load(task, "x", whole), y = empty(whole), weight = load(task, "weight", vector);
    const memory bias = load(task, "bias", vector), mean = load(task, "mean", vector), variance = load(task, "variance", vector);
    const Prepared prepared{forward(pd),
            {{DNNL_ARG_SRC, x}, {DNNL_ARG_DST, y}, {DNNL_ARG_MEAN, mean}, {DNNL_ARG_VARIANCE, variance},
                    {DNNL_ARG_SCALE, weight}, {DNNL_ARG_SHIFT, bias}},
            {y}, pd.impl_info_str()};
    if (task.operation != "backward") return prepared;

    run(prepared);  // leaves the batch statistics in mean and variance
    using backward = dnnl::batch_normalization_backward;
    const backward::primitive_desc back({prop_kind::backward, whole, whole, EPS, scale_shift}, cpu(), pd);
    const memory dx = empty(whole), dweight = empty(vector), dbias = empty(vector);
    return {backward(back),
            {{DNNL_ARG_SRC, x}, {DNNL_ARG_MEAN, mean}, {DNNL_ARG_VARIANCE, variance},
                    {DNNL_ARG_DIFF_DST, load(task, "dy", whole)}, {DNNL_ARG_SCALE, weight}, {DNNL_ARG_SHIFT, bias},
                    {DNNL_ARG_DIFF_SRC, dx}, {DNNL_ARG_DIFF_SCALE, dweight}, {DNNL_ARG_DIFF_SHIFT, dbias}},
            {dx, dweight, dbias}, back.impl_info_str()};
}

static Task parse(std::istringstream &words) {
    Task task;
    std::string dimensions, size;
    words >> task.operation >> task.layout >> dimensions >> std::ws;
    std::getline(words, task.directory);
    for (std::istringstream sizes(dimensions); std::getline(sizes, size, 'x');) task.shape.push_back(std::stol(size));
    if (task.shape.size() == 2) {
        // Its fast implementations need positions: rows become images of one pixel, channels-last.
        task.shape.insert(task.shape.end(), {1, 1});
        task.layout = "channels-last";
    }
    return task;
}

static void write(const Prepared &prepared, const std::string &path) {
    run(prepared);
    std::ofstream file(path, std::ios::binary);
    for (const memory &result : prepared.results)
        file.write(static_cast<const char *>(result.get_data_handle()), result.get_desc().get_size());
}

// Milliseconds per call.
static double sample(const Prepared &prepared, long untimed, long timed) {
    for (long i = 0; i < untimed; i++) run(prepared);
    const auto start = std::chrono::steady_clock::now();
    for (long i = 0; i < timed; i++) run(prepared);
    const std::chrono::duration<double, std::milli> elapsed = std::chrono::steady_clock::now() - start;
    return elapsed.count() / timed;
}

int main() {
    const auto version = dnnl_version();
    std::cout << "hello onednn " << version->major << '.' << version->minor << '.' << version->patch << std::endl;
    Prepared prepared;
    for (std::string line, command; std::getline(std::cin, line);) {
        std::istringstream words(line);
        words >> command >> std::ws;
        try {
            if (command == "quit") break;
            if (command == "prepare") {
                prepared = {};
                prepared = prepare(parse(words));
                std::cout << "ready " << prepared.implementation << std::endl;
            } else if (command == "write") {
                std::string path;
                std::getline(words, path);
                write(prepared, path);
                std::cout << "written" << std::endl;
            } else if (command == "sample") {
                long untimed = 0, timed = 1;
                words >> untimed >> timed;
                std::cout << sample(prepared, untimed, timed) << std::endl;
            } else {
                throw std::runtime_error("expected prepare, write, sample or quit, got " + command);
            }
        } catch (const Unsupported &reason) {
            std::cout << "unsupported " << reason.what() << std::endl;
        } catch (const std::exception &error) {
            std::cout << "error " << error.what() << std::endl;
        }
    }
}
