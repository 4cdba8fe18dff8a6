{ "includes": ["native/mnist_train.gypi"] }
