#include "tokenize/sentencepiece.h"

#include <cstdio>
#include <exception>
#include <new>
#include <sentencepiece_processor.h>
#include <string>

struct em_spm {
    sentencepiece::SentencePieceProcessor processor;
};

static void say(char *why, size_t n, const std::string &text) {
    std::snprintf(why, n, "%s", text.c_str());
}

em_spm *em_spm_open(const void *data, size_t size, char *why, size_t why_n, bool *memory) {
    em_spm *m = nullptr;
    *memory = false;
    try {
        m = new em_spm;
        const auto status = m->processor.LoadFromSerializedProto(
            absl::string_view(static_cast<const char *>(data), size));
        if (status.ok()) return m;
        say(why, why_n, status.ToString());
    } catch (const std::bad_alloc &) {
        *memory = true;
    } catch (const std::exception &e) {
        say(why, why_n, e.what());
    } catch (...) {
        say(why, why_n, "unknown error");
    }
    delete m;
    return nullptr;
}

void em_spm_close(em_spm *m) { delete m; }

bool em_spm_encode(const em_spm *m, const char *text, size_t n, em_spm_push *push, void *context,
                   char *why, size_t why_n, bool *memory) {
    why[0] = 0;
    *memory = false;
    try {
        sentencepiece::ImmutableSentencePieceText pieces;
        const auto status = m->processor.Encode(absl::string_view(text, n), pieces.mutable_proto());
        if (!status.ok()) return say(why, why_n, status.ToString()), false;
        const size_t count = pieces.pieces_size();
        for (size_t i = 0; i < count; i++) {
            const auto piece = pieces.pieces(static_cast<int>(i));
            if (!push(context, static_cast<int32_t>(piece.id()), piece.end())) return false;
        }
        return true;
    } catch (const std::bad_alloc &) {
        *memory = true;
    } catch (const std::exception &e) {
        say(why, why_n, e.what());
    } catch (...) {
        say(why, why_n, "unknown error");
    }
    return false;
}

int32_t em_spm_size(const em_spm *m) { return m->processor.GetPieceSize(); }
int32_t em_spm_bos(const em_spm *m) { return m->processor.bos_id(); }
int32_t em_spm_eos(const em_spm *m) { return m->processor.eos_id(); }

int32_t em_spm_id(const em_spm *m, const char *piece) {
    const int id = m->processor.PieceToId(piece); /* the unknown token's for unknown pieces */
    return id >= 0 && id < em_spm_size(m) && m->processor.IdToPiece(id) == piece ? id : -1;
}

bool em_spm_is_byte(const em_spm *m, int32_t id) { return m->processor.IsByte(id); }
bool em_spm_is_control(const em_spm *m, int32_t id) {
    return m->processor.IsControl(id) || m->processor.IsUnknown(id);
}
const char *em_spm_piece(const em_spm *m, int32_t id) { return m->processor.IdToPiece(id).c_str(); }
