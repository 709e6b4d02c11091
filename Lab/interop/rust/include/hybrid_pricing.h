/* Made from the sources beside it; see README.md. */

#ifndef HYBRID_PRICING_H
#define HYBRID_PRICING_H

#include <stdint.h>
#include <stddef.h>
#include <stdbool.h>

// The version of this interface. A caller that was built for another one must not go on.
#define HYBRID_PRICING_VERSION 1

// Success.
#define HYBRID_OK 0

// An argument is null, not UTF-8, or of no kind that the function knows.
#define HYBRID_INVALID_ARGUMENT 3

// A panic inside. The snapshot can still be used.
#define HYBRID_INTERNAL 13

// A catalog in the making. For one thread at a time.
typedef struct HybridCatalog HybridCatalog;

// One state of the catalog, compiled for quotes. Any number of threads may read it.
typedef struct HybridSnapshot HybridSnapshot;

// Text that its owner lends. `data` may be null when `length` is 0.
typedef struct HybridText {
  // UTF-8.
  const uint8_t *data;
  // In bytes.
  size_t length;
} HybridText;

// Why a call failed. The texts are constants of the library, or empty.
typedef struct HybridError {
  // A code of gRPC.
  int32_t code;
  // The position in the request's lines or coupons of what is at fault; -1 where there is none.
  int64_t index;
  // Machine-readable, UPPER_SNAKE_CASE.
  struct HybridText reason;
  // The field at fault, with `[]` where `index` belongs: `lines[].sku`.
  struct HybridText field;
} HybridError;

// A point in time.
typedef struct HybridInstant {
  // Since the Unix epoch.
  int64_t seconds;
  // 0 to 999,999,999.
  int32_t nanos;
} HybridInstant;

// The terms of a promotion; what they mean stands in `hybrid/catalog/v1/catalog.proto`.
typedef struct HybridPromotion {
  // Its natural key.
  struct HybridText promotion_id;
  // The catalog version that created it; 0 if that is not known.
  int64_t created_version;
  // Parts per million off a line; 0 if it takes an amount off.
  int64_t percent_off_ppm;
  // Minor units off each piece; 0 if it takes a percentage off.
  int64_t amount_off_minor;
  // The skus it applies to; none means all.
  const struct HybridText *skus;
  // Number of skus.
  size_t skus_length;
  // Empty, or the coupon that a quote must bring.
  struct HybridText coupon;
  // Smallest quantity of a line that gets it; 0 means 1.
  int64_t min_quantity;
  // First instant at which it applies; null means always so far.
  const struct HybridInstant *starts_at;
  // First instant at which it applies no more; null means for ever.
  const struct HybridInstant *ends_at;
  // Currency of its budget.
  struct HybridText budget_currency;
  // Its budget in minor units.
  int64_t budget_minor;
  // Whether the budget is used up.
  bool exhausted;
} HybridPromotion;

// A quantity of one item.
typedef struct HybridLine {
  // The item.
  struct HybridText sku;
  // Pieces.
  int64_t quantity;
} HybridLine;

// What is asked.
typedef struct HybridRequest {
  // ISO 4217.
  struct HybridText currency_code;
  // Where the goods are taxed.
  struct HybridText jurisdiction;
  // 1 to 200.
  const struct HybridLine *lines;
  // Number of lines.
  size_t lines_length;
  // Up to 16.
  const struct HybridText *coupons;
  // Number of coupons.
  size_t coupons_length;
  // As of when it is priced.
  struct HybridInstant now;
} HybridRequest;

// One line, priced, in minor units of the request's currency.
typedef struct HybridPricedLine {
  // Of one piece.
  int64_t unit_price_minor;
  // What the promotion takes off.
  int64_t discount_minor;
  // Without tax.
  int64_t net_minor;
  // The tax.
  int64_t tax_minor;
  // With tax.
  int64_t gross_minor;
  // Parts per million.
  int64_t tax_rate_ppm;
  // The promotion that was granted, or empty. It belongs to the snapshot, and lives as long as that.
  struct HybridText promotion_id;
  // The catalog version that created it; 0 if there is none.
  int64_t promotion_created_version;
} HybridPricedLine;

// Sums over the lines.
typedef struct HybridTotals {
  // Version of the snapshot that priced every line.
  int64_t snapshot_version;
  // What promotions take off.
  int64_t discount_minor;
  // Without tax.
  int64_t net_minor;
  // The tax.
  int64_t tax_minor;
  // With tax.
  int64_t gross_minor;
} HybridTotals;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// The version of the interface that is loaded, which is to be [`HYBRID_PRICING_VERSION`] of the header.
uint32_t hybrid_pricing_version(void);

// Panics inside, to show what a caller sees of that: `INTERNAL`.
//
// # Safety
// `error` is null or valid for writes.
int32_t hybrid_pricing_panic(struct HybridError *error);

// Sleeps for so many milliseconds, to show what a caller sees of that: nothing, for as long.
void hybrid_pricing_hang(uint32_t milliseconds);

// An empty catalog. It is finished or freed.
struct HybridCatalog *hybrid_catalog_new(void);

// Frees a catalog that is not to be finished. Null is ignored.
//
// # Safety
// `catalog` is null or came from [`hybrid_catalog_new`], and is neither freed nor finished yet.
void hybrid_catalog_free(struct HybridCatalog *catalog);

// Turns a catalog into a snapshot of this version, and frees the catalog. Null if it is null.
//
// # Safety
// As for [`hybrid_catalog_free`].
struct HybridSnapshot *hybrid_catalog_finish(struct HybridCatalog *catalog, int64_t version);

// Adds an item, or puts it in the place of the one with its sku. An empty `tax_category` means `standard`.
//
// # Safety
// `catalog` is null or not freed and used by no other thread; the texts are lent; `error` is null or valid for writes.
int32_t hybrid_catalog_put_item(struct HybridCatalog *catalog,
                                struct HybridText sku,
                                struct HybridText currency_code,
                                int64_t price_minor,
                                struct HybridText tax_category,
                                struct HybridError *error);

// Adds a tax rule, or puts it in the place of the one with its jurisdiction and category.
//
// # Safety
// As for [`hybrid_catalog_put_item`].
int32_t hybrid_catalog_put_tax_rule(struct HybridCatalog *catalog,
                                    struct HybridText jurisdiction,
                                    struct HybridText category,
                                    int64_t rate_ppm,
                                    struct HybridError *error);

// Adds a promotion, or puts it in the place of the one with its id.
//
// # Safety
// As for [`hybrid_catalog_put_item`]; `promotion` is null or valid for reads, with everything that it points to.
int32_t hybrid_catalog_put_promotion(struct HybridCatalog *catalog,
                                     const struct HybridPromotion *promotion,
                                     struct HybridError *error);

// Frees a snapshot. Null is ignored.
//
// # Safety
// `snapshot` is null or came from [`crate::hybrid_catalog_finish`], is not freed yet, and nobody reads it or what it lent.
void hybrid_snapshot_free(struct HybridSnapshot *snapshot);

// Prices a basket: fills in `lines`, which has room for `lines_capacity` of them, and `totals`. When it fails they are not
// changed. Fails with `ARGUMENT_INVALID` on field `lines_capacity` where there is less room than the request has lines.
//
// # Safety
// `snapshot` is null or not freed; `request` is null or valid with everything that it points to; `lines` is null or valid for
// writes of `lines_capacity` lines, `totals` and `error` are null or valid for writes, and none of them overlaps another.
int32_t hybrid_quote(const struct HybridSnapshot *snapshot,
                     const struct HybridRequest *request,
                     struct HybridPricedLine *lines,
                     size_t lines_capacity,
                     struct HybridTotals *totals,
                     struct HybridError *error);

// An empty catalog. It is finished or freed.
struct HybridCatalog *hybrid_catalog_new(void);

// Frees a catalog that is not to be finished. Null is ignored.
//
// # Safety
// `catalog` is null or came from [`hybrid_catalog_new`], and is neither freed nor finished yet.
void hybrid_catalog_free(struct HybridCatalog *catalog);

// Turns a catalog into a snapshot of this version, and frees the catalog. Null if it is null.
//
// # Safety
// As for [`hybrid_catalog_free`].
struct HybridSnapshot *hybrid_catalog_finish(struct HybridCatalog *catalog, int64_t version);

// Adds an item, or puts it in the place of the one with its sku. An empty `tax_category` means `standard`.
//
// # Safety
// `catalog` is null or not freed and used by no other thread; the texts are lent; `error` is null or valid for writes.
int32_t hybrid_catalog_put_item(struct HybridCatalog *catalog,
                                struct HybridText sku,
                                struct HybridText currency_code,
                                int64_t price_minor,
                                struct HybridText tax_category,
                                struct HybridError *error);

// Adds a tax rule, or puts it in the place of the one with its jurisdiction and category.
//
// # Safety
// As for [`hybrid_catalog_put_item`].
int32_t hybrid_catalog_put_tax_rule(struct HybridCatalog *catalog,
                                    struct HybridText jurisdiction,
                                    struct HybridText category,
                                    int64_t rate_ppm,
                                    struct HybridError *error);

// Adds a promotion, or puts it in the place of the one with its id.
//
// # Safety
// As for [`hybrid_catalog_put_item`]; `promotion` is null or valid for reads, with everything that it points to.
int32_t hybrid_catalog_put_promotion(struct HybridCatalog *catalog,
                                     const struct HybridPromotion *promotion,
                                     struct HybridError *error);

// Frees a snapshot. Null is ignored.
//
// # Safety
// `snapshot` is null or came from [`crate::hybrid_catalog_finish`], is not freed yet, and nobody reads it or what it lent.
void hybrid_snapshot_free(struct HybridSnapshot *snapshot);

// Prices a basket: fills in `lines`, which has room for `lines_capacity` of them, and `totals`. When it fails they are not
// changed. Fails with `ARGUMENT_INVALID` on field `lines_capacity` where there is less room than the request has lines.
//
// # Safety
// `snapshot` is null or not freed; `request` is null or valid with everything that it points to; `lines` is null or valid for
// writes of `lines_capacity` lines, `totals` and `error` are null or valid for writes, and none of them overlaps another.
int32_t hybrid_quote(const struct HybridSnapshot *snapshot,
                     const struct HybridRequest *request,
                     struct HybridPricedLine *lines,
                     size_t lines_capacity,
                     struct HybridTotals *totals,
                     struct HybridError *error);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* HYBRID_PRICING_H */
