"""``exchangeInfo`` of Binance spot: cut to some symbols, or made up where nobody recorded it."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import msgspec

from wsproxy.venues.jsontext import BAD_JSON, Fields

_QUOTES = (
    *("FDUSD", "AEUR", "BIDR", "BUSD", "BVND", "DOGE", "EURI", "IDRT", "TUSD", "USD1", "USDC"),
    *("USDE", "USDP", "USDS", "USDT", "ARS", "AUD", "BNB", "BRL", "BTC", "COP", "CZK", "DAI"),
    *("ETH", "EUR", "GBP", "JPY", "MXN", "NGN", "PAX", "PLN", "RON", "RUB", "SOL", "TRX", "TRY"),
    *("UAH", "UST", "VAI", "XRP", "ZAR"),
)
"""Assets that others are or were priced in, the longest first."""
_UNIT = "0.00000001"
_MOST = "9000000.00000000"


class _Market(msgspec.Struct):
    symbol: str


_fields = msgspec.json.Decoder(Fields).decode
_markets = msgspec.json.Decoder(list[msgspec.Raw]).decode
_market = msgspec.json.Decoder(_Market).decode


def markets_of(body: bytes, symbols: Collection[str]) -> str | None:
    """A recorded ``exchangeInfo`` with these markets only; None where one is not in it."""
    try:
        fields = _fields(body)
        found = {_market(raw).symbol: raw for raw in _markets(fields["symbols"])}
        kept = [found[symbol] for symbol in symbols]
    except (KeyError, *BAD_JSON):
        return None
    return msgspec.json.encode({**fields, "symbols": kept}).decode()


def made_up(symbols: Iterable[str], ms: int) -> str:
    """An ``exchangeInfo`` as far as it follows from the names of symbols, at this time.

    Every member is there that ccxt 4.5, cryptofeed 2.4 and nautilus_trader 1.221 read. Units of
    price and quantity are the smallest that Binance has. A symbol that ends with no known quote
    asset is left out.
    """
    body = {
        "timezone": "UTC",
        "serverTime": ms,
        "rateLimits": [],
        "exchangeFilters": [],
        "symbols": [
            _made_up(symbol, quote) for symbol in symbols if (quote := _quote(symbol)) is not None
        ],
    }
    return msgspec.json.encode(body).decode()


def _quote(symbol: str) -> str | None:
    return next((q for q in _QUOTES if symbol.endswith(q) and len(symbol) > len(q)), None)


def _made_up(symbol: str, quote: str) -> dict[str, object]:
    price = {"minPrice": _UNIT, "maxPrice": _MOST, "tickSize": _UNIT}
    lot = {"minQty": _UNIT, "maxQty": _MOST, "stepSize": _UNIT}
    return {
        "symbol": symbol,
        "status": "TRADING",
        "baseAsset": symbol.removesuffix(quote),
        "baseAssetPrecision": 8,
        "quoteAsset": quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET"],
        "icebergAllowed": False,
        "ocoAllowed": False,
        "otoAllowed": False,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": False,
        "cancelReplaceAllowed": False,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": [{"filterType": "PRICE_FILTER", **price}, {"filterType": "LOT_SIZE", **lot}],
        "permissions": ["SPOT"],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": "NONE",
        "allowedSelfTradePreventionModes": ["NONE"],
    }
