"""Train small scikit-learn models of many kinds, whose skops files are changed."""

from __future__ import annotations

import warnings
from collections.abc import Collection
from functools import partial
from typing import Any

import lightgbm
import numpy as np
import xgboost
from scipy import sparse
from sklearn import (
    cluster,
    compose,
    covariance,
    cross_decomposition,
    decomposition,
    discriminant_analysis,
    ensemble,
    feature_selection,
    gaussian_process,
    impute,
    isotonic,
    kernel_approximation,
    kernel_ridge,
    linear_model,
    manifold,
    mixture,
    multiclass,
    multioutput,
    naive_bayes,
    neighbors,
    neural_network,
    pipeline,
    preprocessing,
    random_projection,
    semi_supervised,
    svm,
    tree,
)
from sklearn.calibration import CalibratedClassifierCV
from sklearn.experimental import enable_iterative_imputer  # noqa: F401 - opens IterativeImputer
from sklearn.feature_extraction import DictVectorizer, FeatureHasher, text
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV

from fourfold.runtimes.sklearn import skops_file

__all__ = ["bases"]

ROWS = 60
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(ROWS, 4))
Y = X[:, 0] - 2 * X[:, 1] + RANDOM.normal(size=ROWS) / 10
C = np.digitize(Y, [-1.0, 1.0])
B = (Y > 0).astype(int)
TWO = np.column_stack([Y, -Y])
LABELS = np.column_stack([B, X[:, 0] > 0]).astype(int)
POSITIVE = np.abs(X)
CATEGORIES = np.column_stack([RANDOM.choice(["a", "b", "c", "d"], ROWS), RANDOM.choice(["x", "y"], ROWS)]).astype(
    object
)
TEXTS = [" ".join(RANDOM.choice(["plane", "late", "gate", "on", "time", "fog"], 5)) for _ in range(ROWS)]
SPARSE = sparse.csr_matrix(np.where(np.abs(X) > 0.5, X, 0.0))
DICTS = [{"a": float(row[0]), "b": str(int(row[1]))} for row in X]
TREE = tree.DecisionTreeRegressor(max_depth=2)


def _members() -> list[tuple[str, Any]]:
    return [("l", linear_model.LogisticRegression()), ("g", naive_bayes.GaussianNB())]


def _classifiers() -> dict[str, Any]:
    return {
        "tree classifier": tree.DecisionTreeClassifier(max_depth=3),
        "random forest": ensemble.RandomForestClassifier(3, max_depth=3),
        "AdaBoost": ensemble.AdaBoostClassifier(n_estimators=2),
        "bagging": ensemble.BaggingClassifier(n_estimators=2, max_features=0.5),
        "gradient boosting": ensemble.GradientBoostingClassifier(n_estimators=2, max_depth=2),
        "stacking": ensemble.StackingClassifier(_members(), cv=2),
        "voting": ensemble.VotingClassifier(_members()),
        "histogram boosting": ensemble.HistGradientBoostingClassifier(max_iter=2, min_samples_leaf=3),
        "calibration": CalibratedClassifierCV(linear_model.LogisticRegression(), cv=2, method="isotonic"),
        "sigmoid": CalibratedClassifierCV(linear_model.LogisticRegression(), cv=2),
        "grid": GridSearchCV(linear_model.LogisticRegression(), {"C": [0.1, 1.0]}, cv=2),
        "one vs rest": multiclass.OneVsRestClassifier(linear_model.LogisticRegression()),
        "one vs one": multiclass.OneVsOneClassifier(linear_model.LogisticRegression()),
        "output code": multiclass.OutputCodeClassifier(linear_model.LogisticRegression()),
        "SVC": svm.SVC(probability=True),
        "NuSVC": svm.NuSVC(nu=0.2, kernel="poly"),
        "linear SVC": svm.LinearSVC(),
        "logistic": linear_model.LogisticRegression(),
        "SGD": linear_model.SGDClassifier(),
        "passive": linear_model.Perceptron(),
        "k neighbours": neighbors.KNeighborsClassifier(n_neighbors=3, algorithm="kd_tree"),
        "radius": neighbors.RadiusNeighborsClassifier(radius=5.0, algorithm="ball_tree"),
        "centroid": neighbors.NearestCentroid(),
        "LDA": discriminant_analysis.LinearDiscriminantAnalysis(),
        "QDA": discriminant_analysis.QuadraticDiscriminantAnalysis(reg_param=0.1),
        "naive Bayes": naive_bayes.GaussianNB(),
        "MLP": neural_network.MLPClassifier(hidden_layer_sizes=(4,), max_iter=5),
        "Gaussian process C": gaussian_process.GaussianProcessClassifier(),
        "label spreading": semi_supervised.LabelSpreading(kernel="knn", n_neighbors=3),
        "self training": semi_supervised.SelfTrainingClassifier(linear_model.LogisticRegression()),
        "LightGBM": lightgbm.LGBMClassifier(n_estimators=2, min_child_samples=3, verbose=-1),
        "XGBoost": xgboost.XGBClassifier(n_estimators=2),
        "RFE": feature_selection.RFE(linear_model.LogisticRegression()),
        "k best": feature_selection.SelectKBest(feature_selection.f_classif, k=2),
        "from model": feature_selection.SelectFromModel(linear_model.LogisticRegression()),
        "components": neighbors.NeighborhoodComponentsAnalysis(max_iter=2),
    }


def _regressors() -> dict[str, Any]:
    return {
        "tree": TREE,
        "extra trees": ensemble.ExtraTreesRegressor(2, max_depth=3),
        "AdaBoost R": ensemble.AdaBoostRegressor(n_estimators=2),
        "histogram boosting R": ensemble.HistGradientBoostingRegressor(max_iter=2, min_samples_leaf=3),
        "k neighbours R": neighbors.KNeighborsRegressor(3, algorithm="brute"),
        "ball tree": neighbors.KNeighborsRegressor(
            3, algorithm="ball_tree", metric="minkowski", p=3, weights="distance"
        ),
        "SVR": svm.SVR(),
        "ridge": linear_model.Ridge(),
        "RANSAC": linear_model.RANSACRegressor(random_state=0),
        "Gaussian process": gaussian_process.GaussianProcessRegressor(),
        "kernel ridge": kernel_ridge.KernelRidge(kernel="rbf"),
        "MLP R": neural_network.MLPRegressor(hidden_layer_sizes=(4,), max_iter=5),
        "target": compose.TransformedTargetRegressor(linear_model.Ridge(), transformer=preprocessing.StandardScaler()),
        "PLS": cross_decomposition.PLSRegression(2),
        "voting R": ensemble.VotingRegressor(
            [("r", linear_model.Ridge()), ("t", tree.DecisionTreeRegressor(max_depth=2))]
        ),
        "frozen": FrozenEstimator(linear_model.Ridge().fit(X, Y)),
        "union": pipeline.make_pipeline(
            pipeline.make_union(preprocessing.StandardScaler(), decomposition.PCA(2)), linear_model.Ridge()
        ),
        "columns": pipeline.make_pipeline(
            compose.make_column_transformer(
                (preprocessing.StandardScaler(), [0, 1]),
                (preprocessing.KBinsDiscretizer(3), [2]),
                remainder="passthrough",
            ),
            linear_model.Ridge(),
        ),
        "function": pipeline.make_pipeline(
            preprocessing.FunctionTransformer(np.clip, kw_args={"a_min": -1, "a_max": 1}),
            preprocessing.FunctionTransformer(partial(np.round, decimals=1)),
            linear_model.Ridge(),
        ),
    }


def _transformers() -> dict[str, Any]:
    return {
        "random trees": ensemble.RandomTreesEmbedding(2, max_depth=2),
        "isolation forest": ensemble.IsolationForest(n_estimators=3, max_samples=20),
        "one class": svm.OneClassSVM(),
        "density": neighbors.KernelDensity(),
        "outlier factor": neighbors.LocalOutlierFactor(3, novelty=True),
        "neighbours graph": neighbors.KNeighborsTransformer(n_neighbors=3),
        "k means": cluster.KMeans(3, n_init=1),
        "mini batch": cluster.MiniBatchKMeans(3, n_init=1),
        "bisecting": cluster.BisectingKMeans(4),
        "agglomeration": cluster.FeatureAgglomeration(2),
        "mean shift": cluster.MeanShift(),
        "affinity": cluster.AffinityPropagation(),
        "PCA": decomposition.PCA(2),
        "SVD": decomposition.TruncatedSVD(2),
        "ICA": decomposition.FastICA(2, max_iter=20),
        "kernel PCA": decomposition.KernelPCA(2, kernel="rbf"),
        "dictionary": decomposition.MiniBatchDictionaryLearning(2, max_iter=2, transform_algorithm="omp"),
        "mixture": mixture.GaussianMixture(2),
        "Bayesian mixture": mixture.BayesianGaussianMixture(n_components=2, max_iter=5),
        "splines": preprocessing.SplineTransformer(4),
        "bins": preprocessing.KBinsDiscretizer(3, encode="onehot-dense"),
        "polynomial": preprocessing.PolynomialFeatures(2),
        "power": preprocessing.PowerTransformer(),
        "quantiles": preprocessing.QuantileTransformer(n_quantiles=20),
        "robust": preprocessing.RobustScaler(),
        "k nearest imputer": impute.KNNImputer(n_neighbors=2),
        "iterative imputer": impute.IterativeImputer(max_iter=2, random_state=0),
        "missing": impute.MissingIndicator(features="all"),
        "Nystroem": kernel_approximation.Nystroem(n_components=3),
        "RBF sampler": kernel_approximation.RBFSampler(n_components=3),
        "sketch": kernel_approximation.PolynomialCountSketch(n_components=3),
        "projection": random_projection.SparseRandomProjection(2),
        "isomap": manifold.Isomap(n_neighbors=4, n_components=2),
        "embedding": manifold.LocallyLinearEmbedding(n_neighbors=4, n_components=2),
        "covariance": covariance.EllipticEnvelope(random_state=0),
    }


def _others() -> dict[str, tuple[Any, Any, Any]]:
    """Models that take other rows: the model, the rows and the target by their kinds."""
    words = pipeline.make_pipeline(text.TfidfVectorizer(ngram_range=(1, 2)), linear_model.LogisticRegression())
    hashed = pipeline.make_pipeline(text.HashingVectorizer(n_features=32), naive_bayes.BernoulliNB())
    mixed = compose.make_column_transformer(
        (preprocessing.OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=5), [0, 1]),
    )
    return {
        "isotonic": (isotonic.IsotonicRegression(out_of_bounds="clip"), X[:, :1], Y),
        "multioutput": (multioutput.MultiOutputRegressor(tree.DecisionTreeRegressor(max_depth=2)), X, TWO),
        "chain": (multioutput.RegressorChain(linear_model.Ridge()), X, TWO),
        "classifier chain": (multioutput.ClassifierChain(linear_model.LogisticRegression()), X, LABELS),
        "threshold": (FixedThresholdClassifier(linear_model.LogisticRegression(), threshold=0.4), X, B),
        "NMF": (decomposition.NMF(2, max_iter=20), POSITIVE, None),
        "topics": (decomposition.LatentDirichletAllocation(2, max_iter=2), POSITIVE, None),
        "chi sampler": (kernel_approximation.AdditiveChi2Sampler(), POSITIVE, None),
        "words": (words, TEXTS, C),
        "counts": (text.CountVectorizer(), TEXTS, None),
        "hashed": (hashed, TEXTS, C),
        "categories": (mixed, CATEGORIES, None),
        "one hot": (preprocessing.OneHotEncoder(drop="first", sparse_output=False), CATEGORIES, None),
        "ordinal": (preprocessing.OrdinalEncoder(encoded_missing_value=-2), CATEGORIES, None),
        "target encoder": (preprocessing.TargetEncoder(cv=2), CATEGORIES, Y),
        "dicts": (DictVectorizer(), DICTS, None),
        "hasher": (FeatureHasher(16), DICTS, None),
        "sparse neighbours": (neighbors.KNeighborsRegressor(3), SPARSE, Y),
        "sparse SVC": (svm.SVC(), SPARSE, B),
        "sparse logistic": (linear_model.LogisticRegression(), X, B),
        "sparse density": (neighbors.KNeighborsRegressor(3, algorithm="kd_tree"), X, Y),
        "one class SGD": (linear_model.SGDOneClassSVM(), X, None),
        "categorical Bayes": (naive_bayes.CategoricalNB(), C.reshape(-1, 1), B),
    }


def bases(names: Collection[str] = ()) -> dict[str, tuple[bytes, Any]]:
    """Return the skops file of each model, or of those named, and rows that it takes."""
    models: dict[str, tuple[Any, Any, Any]] = {}
    models |= {name: (model, X, C) for name, model in _classifiers().items()}
    models |= {name: (model, X, Y) for name, model in _regressors().items()}
    models |= {name: (model, X, None) for name, model in _transformers().items()}
    models |= _others()
    files = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, (model, rows, target) in models.items():
            if names and name not in names:
                continue
            model.fit(rows, target)
            if name == "sparse logistic":
                model.sparsify()
            files[name] = (skops_file.dumps(model), rows[:3])
    return files
