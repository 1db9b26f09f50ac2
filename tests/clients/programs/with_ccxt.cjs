// ccxt on Binance, until the exchange closes; prints what it came to hold as JSON.
//
// node with_ccxt.cjs REST WS KIND,KIND... BTC/USDT
"use strict";

const ccxt = require("ccxt");

const LEVELS = 5000;

async function main(rest, ws, kinds, symbol) {
  const exchange = new ccxt.pro.binance({
    urls: { api: { public: `${rest}/api/v3`, ws: { spot: `${ws}/ws` } } },
    // It keeps the last 1,000 trades until somebody asks, which a busy machine can exceed.
    options: { fetchMarkets: { types: ["spot"] }, tradesLimit: 100000 },
  });
  const held = { trades: [], reports: 0 };

  const count = () => (held.reports += 1);

  async function watch(ask, take) {
    try {
      for (;;) take(await ask());
    } catch (error) {
      if (!(error instanceof ccxt.NetworkError)) throw error;
      held.end = error.message;
    }
  }

  const watches = {
    book: [() => exchange.watchOrderBook(symbol, LEVELS), count],
    trades: [
      () => exchange.watchTrades(symbol),
      (trades) => held.trades.push(...trades.map((trade) => trade.id)),
    ],
    ticker: [() => exchange.watchTicker(symbol), count],
    quote: [() => exchange.watchBidsAsks([symbol]), count],
  };
  await exchange.loadHttpProxyAgent();
  await exchange.loadMarkets();
  await Promise.all(kinds.split(",").map((kind) => watch(...watches[kind])));
  const book = exchange.orderbooks[symbol];
  if (book) {
    held.book = { bids: [...book.bids], asks: [...book.asks] };
    held.last = book.nonce;
  }
  // It reports what is new when it is asked, and merges what came between.
  held.ticker = exchange.tickers[symbol]?.info;
  held.quote = exchange.bidsasks[symbol]?.info;
  await exchange.close();
  console.log(JSON.stringify({ version: ccxt.version, markets: { [symbol]: held } }));
}

main(...process.argv.slice(2));
