# The mixture of beside_stan.py in Stan: Rscript beside_stan.R DATA.R FOLDER SEED ...; seconds go to standard output.
library(rstan)

model <- "
data { int N; int D; int K; vector[D] y[N]; vector[D] loc; vector[D] scale; vector[D] sd_mu; real sd_sigma;
       vector[D] rounding; real eta; }
parameters { simplex[K] w; vector[D] mu[K]; vector<lower=0>[D] s[K]; cholesky_factor_corr[D] L[K]; }
transformed parameters {
  matrix[D, D] chol[K];
  for (k in 1:K) chol[k] = diag_pre_multiply(sqrt(square(s[k]) + rounding), L[k]);
}
model {
  for (k in 1:K) { mu[k] ~ normal(loc, scale); s[k] ~ lognormal(sd_mu, sd_sigma); L[k] ~ lkj_corr_cholesky(eta); }
  for (n in 1:N) {
    vector[K] lp = log(w);
    for (k in 1:K) lp[k] += multi_normal_cholesky_lpdf(y[n] | mu[k], chol[k]);
    target += log_sum_exp(lp);
  }
}"
if (rstan_options("boost_lib") == "") rstan_options(boost_lib = "/usr/include")  # where Debian has it
files <- commandArgs(trailingOnly = TRUE)
compiling <- system.time(compiled <- stan_model(model_code = model))["elapsed"]
data <- read_rdump(files[1])
for (seed in as.integer(files[-(1:2)])) {
  sampling <- system.time(
    fit <- sampling(compiled, data, chains = 1, warmup = 1000, iter = 2000, seed = seed, refresh = 0)
  )["elapsed"]
  stats <- get_sampler_params(fit, inc_warmup = FALSE)[[1]]
  draws <- cbind(as.data.frame(fit, pars = c("w", "mu", "chol")), diverging = stats[, "divergent__"])
  write.csv(draws, sprintf("%s/%d.csv", files[2], seed), row.names = FALSE)
  cat(seed, compiling, sampling, sum(stats[, "n_leapfrog__"]), as.character(packageVersion("rstan")), "\n")
}
