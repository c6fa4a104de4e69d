"""What scikit-learn and statsmodels make of the rows of tests/regress/sql/losses.sql.

    python3 tests/support/links_reference.py

The tests hold the numbers that this prints against linear networks. Needs numpy, scikit-learn and
statsmodels.
"""

import numpy as np
import statsmodels.api as sm
from sklearn.linear_model import GammaRegressor, PoissonRegressor, TweedieRegressor
from sklearn.metrics import d2_tweedie_score, mean_tweedie_deviance
from statsmodels.miscmodels.ordinal_model import OrderedModel

i = np.arange(1, 4001)


def drawn(step):
    """As the SQL has it: numbers that look drawn, between 0 and 1."""
    return (i * step % 100003) / 100003


x, z = drawn(7919) - 0.5, drawn(15013) - 0.5
years, chance = 0.25 + drawn(31337), drawn(48271)
rate = np.exp(-0.5 + 1.5 * x - 0.8 * z)
claims = np.floor(rate * years + chance)
amount = np.exp(1 + 0.7 * x + 0.4 * z) * -np.log(chance)
cost = np.where(claims > 0, claims * amount, 0.0)
share = np.clip(1 / (1 + np.exp(-(0.3 + 2 * x - z))) + 0.4 * (chance - 0.5), 0, 1)
latent = 4 * x - 3 * z + np.log(chance / (1 - chance))
grade = 1 + (latent > -1.5) + (latent > 0.25) + (latent > 1.75)
X = np.column_stack([x, z])


def report(name, model, y, weight=None, power=None):
    print(name, "intercept %.4f, coefficients %.4f %.4f" % (model.intercept_, *model.coef_), end="")
    if power is not None:
        mean = model.predict(X)
        print(
            ", deviance %.5f, d2 %.5f"
            % (
                mean_tweedie_deviance(y, mean, power=power, sample_weight=weight),
                d2_tweedie_score(y, mean, power=power, sample_weight=weight),
            )
        )


tight = {"alpha": 0, "tol": 1e-10, "max_iter": 10000}
report(
    "poisson", PoissonRegressor(**tight).fit(X, claims / years, years), claims / years, years, 1
)
report("gamma", GammaRegressor(**tight).fit(X, amount), amount, None, 2)
# An offset: rates weigh as the exposure to the power 2 - p.
weight = years**0.5
tweedie = TweedieRegressor(power=1.5, link="log", **tight).fit(X, cost / years, weight)
report("tweedie", tweedie, cost / years, weight, 1.5)
logit = sm.GLM(share, sm.add_constant(X), family=sm.families.Binomial()).fit()
mean = logit.predict()
loss = -np.mean(share * np.log(mean) + (1 - share) * np.log(1 - mean))
print("share intercept %.4f, coefficients %.4f %.4f" % tuple(logit.params), "log_loss %.5f" % loss)
ordered = OrderedModel(grade, X, distr="logit").fit(method="bfgs", disp=False, gtol=1e-8)
cuts = ordered.model.transform_threshold_params(ordered.params)[1:-1]
print("ordinal coefficients %.4f %.4f" % tuple(ordered.params[:2]), "thresholds", cuts.round(4))
print("log_loss %.5f" % (-ordered.llf / len(i)), "classes", np.bincount(grade)[1:])
