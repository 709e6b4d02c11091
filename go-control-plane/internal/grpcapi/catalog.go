package grpcapi

import (
	"context"
	"log/slog"

	"google.golang.org/grpc/metadata"

	catalogv1 "hybrid/control-plane/gen/hybrid/catalog/v1"
	"hybrid/control-plane/internal/catalog"
	"hybrid/control-plane/internal/contract"
)

// IdempotencyKey is the metadata key, and HTTP header, of a create's request id. The field request_id takes precedence.
const IdempotencyKey = "idempotency-key"

// Catalog serves hybrid.catalog.v1.CatalogService.
type Catalog struct {
	catalogv1.UnimplementedCatalogServiceServer
	Items      *catalog.Collection[catalog.Item]
	TaxRules   *catalog.Collection[catalog.TaxRule]
	Promotions *catalog.Collection[catalog.Promotion]
	Log        *slog.Logger
}

func (s *Catalog) CreateItem(ctx context.Context, r *catalogv1.CreateItemRequest) (*catalogv1.CreateItemResponse, error) {
	i := contract.ToItem(r.GetItem())
	i.Version = 0
	i, err := s.Items.Create(ctx, i, requestID(ctx, r.GetRequestId()))
	if err != nil {
		return nil, answer(ctx, s.Log, err)
	}
	return &catalogv1.CreateItemResponse{Item: contract.Item(i)}, nil
}

func (s *Catalog) BatchCreateItems(ctx context.Context, r *catalogv1.BatchCreateItemsRequest) (*catalogv1.BatchCreateItemsResponse, error) {
	items := each(r.GetItems(), contract.ToItem)
	for n := range items {
		items[n].Version = 0
	}
	items, err := s.Items.CreateAll(ctx, items, "items", requestID(ctx, r.GetRequestId()))
	if err != nil {
		return nil, answer(ctx, s.Log, err)
	}
	return &catalogv1.BatchCreateItemsResponse{Items: each(items, contract.Item)}, nil
}

func (s *Catalog) GetItem(ctx context.Context, r *catalogv1.GetItemRequest) (*catalogv1.GetItemResponse, error) {
	i, err := s.Items.Get(ctx, r.GetSku())
	if err != nil {
		return nil, answer(ctx, s.Log, err)
	}
	return &catalogv1.GetItemResponse{Item: contract.Item(i)}, nil
}

func (s *Catalog) ListItems(ctx context.Context, r *catalogv1.ListItemsRequest) (*catalogv1.ListItemsResponse, error) {
	page, next, err := s.Items.List(ctx, int(r.GetPageSize()), r.GetPageToken())
	if err != nil {
		return nil, answer(ctx, s.Log, err)
	}
	return &catalogv1.ListItemsResponse{Items: each(page, contract.Item), NextPageToken: next}, nil
}

func (s *Catalog) UpdateItem(ctx context.Context, r *catalogv1.UpdateItemRequest) (*catalogv1.UpdateItemResponse, error) {
	i, err := s.Items.Update(ctx, contract.ToItem(r.GetItem()))
	if err != nil {
		return nil, answer(ctx, s.Log, err)
	}
	return &catalogv1.UpdateItemResponse{Item: contract.Item(i)}, nil
}

func (s *Catalog) DeleteItem(ctx context.Context, r *catalogv1.DeleteItemRequest) (*catalogv1.DeleteItemResponse, error) {
	if err := s.Items.Delete(ctx, r.GetSku(), r.GetVersion()); err != nil {
		return nil, answer(ctx, s.Log, err)
	}
	return &catalogv1.DeleteItemResponse{}, nil
}

func (s *Catalog) CreateTaxRule(ctx context.Context, r *catalogv1.CreateTaxRuleRequest) (*catalogv1.CreateTaxRuleResponse, error) {
	rule := contract.ToTaxRule(r.GetTaxRule())
	rule.Version = 0
	rule, err := s.TaxRules.Create(ctx, rule, requestID(ctx, r.GetRequestId()))
	if err != nil {
		return nil, answer(ctx, s.Log, err)
	}
	return &catalogv1.CreateTaxRuleResponse{TaxRule: contract.TaxRule(rule)}, nil
}

func (s *Catalog) GetTaxRule(ctx context.Context, r *catalogv1.GetTaxRuleRequest) (*catalogv1.GetTaxRuleResponse, error) {
	rule, err := s.TaxRules.Get(ctx, catalog.TaxRuleName(r.GetJurisdiction(), r.GetCategory()))
	if err != nil {
		return nil, answer(ctx, s.Log, err)
	}
	return &catalogv1.GetTaxRuleResponse{TaxRule: contract.TaxRule(rule)}, nil
}

func (s *Catalog) ListTaxRules(ctx context.Context, r *catalogv1.ListTaxRulesRequest) (*catalogv1.ListTaxRulesResponse, error) {
	page, next, err := s.TaxRules.List(ctx, int(r.GetPageSize()), r.GetPageToken())
	if err != nil {
		return nil, answer(ctx, s.Log, err)
	}
	return &catalogv1.ListTaxRulesResponse{TaxRules: each(page, contract.TaxRule), NextPageToken: next}, nil
}

func (s *Catalog) UpdateTaxRule(ctx context.Context, r *catalogv1.UpdateTaxRuleRequest) (*catalogv1.UpdateTaxRuleResponse, error) {
	rule, err := s.TaxRules.Update(ctx, contract.ToTaxRule(r.GetTaxRule()))
	if err != nil {
		return nil, answer(ctx, s.Log, err)
	}
	return &catalogv1.UpdateTaxRuleResponse{TaxRule: contract.TaxRule(rule)}, nil
}

func (s *Catalog) DeleteTaxRule(ctx context.Context, r *catalogv1.DeleteTaxRuleRequest) (*catalogv1.DeleteTaxRuleResponse, error) {
	if err := s.TaxRules.Delete(ctx, catalog.TaxRuleName(r.GetJurisdiction(), r.GetCategory()), r.GetVersion()); err != nil {
		return nil, answer(ctx, s.Log, err)
	}
	return &catalogv1.DeleteTaxRuleResponse{}, nil
}

func (s *Catalog) CreatePromotion(ctx context.Context, r *catalogv1.CreatePromotionRequest) (*catalogv1.CreatePromotionResponse, error) {
	p := contract.ToPromotion(r.GetPromotion())
	p.Version = 0
	p, err := s.Promotions.Create(ctx, p, requestID(ctx, r.GetRequestId()))
	if err != nil {
		return nil, answer(ctx, s.Log, err)
	}
	return &catalogv1.CreatePromotionResponse{Promotion: contract.Promotion(p)}, nil
}

func (s *Catalog) GetPromotion(ctx context.Context, r *catalogv1.GetPromotionRequest) (*catalogv1.GetPromotionResponse, error) {
	p, err := s.Promotions.Get(ctx, r.GetPromotionId())
	if err != nil {
		return nil, answer(ctx, s.Log, err)
	}
	return &catalogv1.GetPromotionResponse{Promotion: contract.Promotion(p)}, nil
}

func (s *Catalog) ListPromotions(ctx context.Context, r *catalogv1.ListPromotionsRequest) (*catalogv1.ListPromotionsResponse, error) {
	page, next, err := s.Promotions.List(ctx, int(r.GetPageSize()), r.GetPageToken())
	if err != nil {
		return nil, answer(ctx, s.Log, err)
	}
	return &catalogv1.ListPromotionsResponse{Promotions: each(page, contract.Promotion), NextPageToken: next}, nil
}

func (s *Catalog) UpdatePromotion(ctx context.Context, r *catalogv1.UpdatePromotionRequest) (*catalogv1.UpdatePromotionResponse, error) {
	p, err := s.Promotions.Update(ctx, contract.ToPromotion(r.GetPromotion()))
	if err != nil {
		return nil, answer(ctx, s.Log, err)
	}
	return &catalogv1.UpdatePromotionResponse{Promotion: contract.Promotion(p)}, nil
}

func (s *Catalog) DeletePromotion(ctx context.Context, r *catalogv1.DeletePromotionRequest) (*catalogv1.DeletePromotionResponse, error) {
	if err := s.Promotions.Delete(ctx, r.GetPromotionId(), r.GetVersion()); err != nil {
		return nil, answer(ctx, s.Log, err)
	}
	return &catalogv1.DeletePromotionResponse{}, nil
}

func requestID(ctx context.Context, id string) string {
	if id == "" {
		if values := metadata.ValueFromIncomingContext(ctx, IdempotencyKey); len(values) > 0 {
			return values[0]
		}
	}
	return id
}

func each[A, B any](list []A, convert func(A) B) []B {
	converted := make([]B, len(list))
	for i, a := range list {
		converted[i] = convert(a)
	}
	return converted
}
